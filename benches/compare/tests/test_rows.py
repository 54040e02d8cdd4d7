"""Rows, servers and their fitting together; rates; what is wrong at the origin."""

import unittest

from compare.rows import all_rows
from compare.rows.requests import common_rate
from compare.servers import all_servers, parse_variant
from compare.servers.base import EVERY_KIND, Contender


class Server(Contender):
    """A server with a name and a role."""

    def __init__(self, name, role="peer"):
        self.name, self.role = name, role


class Rows(unittest.TestCase):
    def setUp(self):
        self.rows = {row.name: row for row in all_rows()}

    def test_names_are_unique_and_kinds_known(self):
        self.assertEqual(len(self.rows), len(all_rows()))
        self.assertLessEqual({row.kind for row in all_rows()}, EVERY_KIND)
        self.assertEqual(len({s.name for s in all_servers()}), len(all_servers()))

    def test_quick_has_four_rows(self):
        quick = [name for name, row in self.rows.items() if row.quick]
        self.assertEqual(quick, ["hit-1k", "hit-64k", "pass-1k", "miss-1k"])

    def test_forebay_can_do_every_row_and_rows_that_servers_are_confined_to_exist(self):
        forebay = all_servers()[0]
        self.assertEqual([forebay.refusal(row.kind) for row in all_rows()], [None] * len(self.rows))
        for server in all_servers():
            self.assertLessEqual(set(server.only or ()), set(self.rows))

    def test_who_cannot_do_a_row_says_why(self):
        for server in all_servers():
            for kind in EVERY_KIND - server.kinds:
                self.assertTrue(server.refusal(kind), f"{server.name} {kind}")

    def test_hits_stay_away_from_the_origin_and_the_others_reach_it(self):
        hit, miss = self.rows["hit-1k"], self.rows["pass-1k"]
        self.assertIsNone(hit.wrong_at_origin(1000, 0))
        self.assertIn("1 requests", hit.wrong_at_origin(1000, 1))
        self.assertIsNone(miss.wrong_at_origin(1000, 1064))
        self.assertIn("999", miss.wrong_at_origin(1000, 999))
        self.assertIn("2,000", miss.wrong_at_origin(1000, 2000))
        self.assertIsNone(self.rows["distinct-1k"].wrong_at_origin(10_000, 10))
        self.assertIsNotNone(self.rows["distinct-1k"].wrong_at_origin(10_000, 11))

    def test_the_rate_is_set_by_the_slowest_peer(self):
        servers = [Server("forebay", "forebay"), Server("a"), Server("b"), Server("broken")]
        servers.append(Server("floor", "reference"))
        rounds = {"forebay": [{"rps": 10}], "a": [{"rps": 1000}, {"rps": 3000}], "b": [{"rps": 5000}]}
        rounds |= {"broken": [{"invalid": ["no"]}], "floor": [{"rps": 20}]}
        self.assertEqual(common_rate("hit", servers, rounds), 1200)
        self.assertEqual(common_rate("hit", servers[:1], rounds), 6)
        self.assertIsNone(common_rate("hit", [], {}))

    def test_a_variant_needs_a_name_of_its_own(self):
        variant = parse_variant("logged=--access-log {place}/a b")
        self.assertEqual((variant.name, variant.flags, variant.role), ("logged", "--access-log {place}/a b", "forebay"))
        for text in ("logged", "=x", "forebay=--workers 1"):
            with self.assertRaises(ValueError):
                parse_variant(text)


if __name__ == "__main__":
    unittest.main()
