"""The goals file, and when a goal counts as missed."""

import tempfile
import unittest
from pathlib import Path

from compare import goals
from compare.goals import BadGoals, Goal, is_missed, judge
from compare.options import GOALS
from compare.rows import all_rows
from compare.servers import all_servers

from .support import ROLES, outcome

ROWS = [row.name for row in all_rows()]
SERVERS = [server.name for server in all_servers()]


def read(text):
    """Goals out of this text."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "goals.toml"
        path.write_text(text)
        return goals.read(path, ROWS, SERVERS)


class File(unittest.TestCase):
    def test_the_file_that_is_delivered_is_understood(self):
        goals.read(GOALS, ROWS, SERVERS)

    def test_its_example_is_understood(self):
        example = [line[4:] for line in GOALS.read_text().splitlines() if line.startswith("#   ")]
        self.assertEqual(read("\n".join(example)), [Goal("hit-1k", 1.0, "best", "cpu_us", "forebay")])

    def test_what_is_wrong_is_named(self):
        for text, word in (
            ("[[goal]]\nrow = 'hit-1k'", "at_most"),
            ("[[goal]]\nrow = 'nothing'\nat_most = 1", "nothing"),
            ("[[goal]]\nrow = 'hit-1k'\nat_most = 1\nagainst = 'squid'", "squid"),
            ("[[goal]]\nrow = 'hit-1k'\nat_most = 0", "above 0"),
            ("[[goal]]\nrow = 'hit-1k'\nat_most = 1\nbest = 2", "best"),
            ("[hit-1k]\nat_most = 1", "hit-1k"),
            ("[[goal", "goals.toml"),
        ):
            with self.assertRaisesRegex(BadGoals, word):
                read(text)


class Verdicts(unittest.TestCase):
    def test_two_of_three_rounds_over_five_percent_miss_it(self):
        self.assertFalse(is_missed([1.04, 1.05, 1.3], 1.0))
        self.assertTrue(is_missed([1.06, 0.5, 1.06], 1.0))
        self.assertTrue(is_missed([None, 0.5, 1.06], 1.0))
        self.assertFalse(is_missed([1.06, 1.0], 1.0))
        self.assertTrue(is_missed([1.06], 1.0))
        self.assertFalse(is_missed([9, 9, 9, 1, 1], 1.0))
        self.assertTrue(is_missed([9, 9, 9, 9, 1], 1.0))

    def test_each_round_is_held_against_the_best_peer_of_that_round(self):
        run = outcome(ROLES, forebay=[10, 10, 10], nginx=[10, 40, 5], haproxy=[20, 10, 30], epoll=[1, 1, 1])
        verdict = judge(Goal("made-up", 1.0), run)
        self.assertEqual(verdict.values, (1.0, 1.0, 2.0))
        self.assertFalse(verdict.missed)

    def test_a_variant_may_be_held_against_forebay(self):
        run = outcome(ROLES, forebay=[10, 10, 10], forebay_logged=[12, 12, 10])
        verdict = judge(Goal("made-up", 1.05, "forebay", subject="forebay-logged"), run)
        self.assertTrue(verdict.missed)

    def test_a_figure_may_have_a_bound_of_its_own(self):
        run = outcome(ROLES, forebay=[10, 10, 10])
        self.assertFalse(judge(Goal("made-up", 10, "nothing"), run).missed)
        self.assertTrue(judge(Goal("made-up", 9, "nothing"), run).missed)
        self.assertFalse(judge(Goal("made-up", 48_000, "nothing", "rps"), run).missed)

    def test_an_invalid_round_of_forebay_misses_and_one_of_a_peer_does_not_count(self):
        self.assertTrue(judge(Goal("made-up", 1), outcome(ROLES, forebay=[None, None, 1], nginx=[9, 9, 9])).missed)
        verdict = judge(Goal("made-up", 1), outcome(ROLES, forebay=[5, 5, 5], nginx=[None, 5, 5]))
        self.assertEqual(verdict.values, (1, 1))

    def test_what_was_not_run_is_not_judged(self):
        for run in (None, outcome(ROLES, nginx=[1]), outcome(ROLES, forebay=[1], epoll=[1])):
            verdict = judge(Goal("made-up", 1), run)
            self.assertFalse(verdict.missed)
            self.assertTrue(verdict.unjudged)


if __name__ == "__main__":
    unittest.main()
