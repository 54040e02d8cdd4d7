"""Tables for a terminal and for the document."""

import unittest

from compare import markdown, report
from compare.report import Summary

from .support import ROLES, outcome


class Tables(unittest.TestCase):
    def setUp(self):
        self.run_ = outcome(ROLES, forebay=[8, 10, 9], forebay_logged=[18], nginx=[None], haproxy=[6], epoll=[3])
        self.run_.skipped["h2o"] = "no cache"

    def test_a_row_shows_median_range_and_ratio(self):
        _, rows = report.lines(Summary(self.run_))
        by_name = {row[0]: row[1:] for row in rows}
        self.assertEqual(by_name["forebay"], ["9.00", "(8.00–10.00)", "50,000", "1.50"])
        self.assertEqual(by_name["haproxy *"][-1], "1.00")
        self.assertEqual(by_name["epoll (reference)"][-1], "0.50")
        self.assertEqual(by_name["nginx"], ["–", "–", "–", "–"])

    def test_the_document_has_variants_beneath_and_says_what_is_missing(self):
        text = markdown.tables([self.run_], "conditions")
        self.assertIn("| a made up row | 9.0 (50) | – | **6.0** (50) | 3.0 (50) | 1.50 |", text)
        self.assertIn("| a made up row: forebay-logged | 18.0 (50) |  |  |  | 3.00 (2.00 of forebay) |", text)
        self.assertIn("- h2o: made-up: no cache", text)
        self.assertIn("- nginx: made-up: 1 of 1 rounds invalid: it broke", text)

    def test_a_client_that_was_itself_late_is_told(self):
        for late, figures in zip((0.2, 3.0, 5.0), self.run_.rounds["forebay"]):
            figures["open"] = {"lag_p99_ms": late}
        self.assertIn(("forebay", "the client itself was late by over 1 ms at p99: do not quote latencies"),
                      list(Summary(self.run_).troubles()))

    def test_every_line_of_a_table_has_as_many_cells_as_its_head(self):
        table = [line for line in markdown.tables([self.run_], "").splitlines() if line.startswith("|")]
        self.assertEqual(len({line.count("|") for line in table}), 1)

    def test_json_has_no_ratio_where_there_is_no_figure(self):
        ratios = report.as_data(self.run_)["ratio_to_best_peer"]
        self.assertEqual(ratios["forebay"], 1.5)
        self.assertIsNone(ratios["nginx"])


if __name__ == "__main__":
    unittest.main()
