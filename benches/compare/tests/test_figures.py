"""Medians, the best peer, ratios."""

import unittest

from compare.figures import best_peer, in_round, medians, ratio, spread


class Figures(unittest.TestCase):
    def test_invalid_rounds_count_for_nothing(self):
        rounds = [{"a": 1, "invalid": []}, {"a": 100, "invalid": ["wrong"]}, {"a": 3}]
        self.assertEqual(medians(rounds), {"a": 2})
        self.assertEqual(spread(rounds, "a"), (1, 3))
        self.assertIsNone(spread([{"a": 1, "invalid": ["wrong"]}], "a"))

    def test_a_figure_that_some_rounds_lack_is_taken_from_the_others(self):
        self.assertEqual(medians([{"a": 1}, {"a": 5, "b": None}, {"a": 2, "b": 7}]), {"a": 2, "b": 7})

    def test_the_best_peer_is_no_reference_and_not_forebay(self):
        roles = {"forebay": "forebay", "floor": "reference", "x": "peer", "y": "peer", "z": "peer"}
        values = {"forebay": 1, "floor": 2, "x": 5, "y": 4, "z": None}
        self.assertEqual(best_peer(values, roles), "y")
        self.assertIsNone(best_peer({"forebay": 1}, roles))

    def test_no_ratio_to_nothing(self):
        self.assertEqual(ratio(3, 2), 1.5)
        for own, other in ((None, 2), (3, None), (3, 0), (3, -1)):
            self.assertIsNone(ratio(own, other))

    def test_a_server_with_fewer_rounds_is_taken_at_its_median(self):
        rounds = [{"a": 1}, {"a": 9, "invalid": ["wrong"]}, {"a": 3}]
        self.assertEqual([in_round(rounds, n, "a") for n in range(4)], [1, None, 3, 2])


if __name__ == "__main__":
    unittest.main()
