"""What is delivered agrees with itself: the record, the reasons, the options and the document."""

import tempfile
import tomllib
import unittest
from pathlib import Path

from conformance import document, node_under_test, outcomes, reasons
from conformance.outcomes import Outcome


class Delivered(unittest.TestCase):
    def setUp(self):
        self.record, self.reasons = outcomes.read(), reasons.read()

    def test_both_cuts_were_run_in_both_configurations(self):
        found = {cut: sorted(part["configs"]) for cut, part in self.record.items()}
        self.assertEqual(found, {cut: sorted(outcomes.CONFIGS) for cut in outcomes.CUTS})

    def test_everything_in_the_record_is_as_the_reasons_tell(self):
        for cut, part in self.record.items():
            for config, found in part["configs"].items():
                self.assertEqual(reasons.differences(self.reasons, cut, config, found), [], f"{cut}, {config}")

    def test_the_document_is_what_the_record_and_the_reasons_make(self):
        self.assertEqual(document.FILE.read_text(), document.render(self.record, self.reasons), "use --write-docs")

    def test_there_are_at_most_three_options(self):
        options = tomllib.loads(node_under_test.OPTIONS.read_text())
        self.assertEqual(list(options), ["cache"])
        self.assertLessEqual(len(options["cache"]), 3)


class Record(unittest.TestCase):
    def test_it_reads_back_what_it_wrote(self):
        waits = Outcome("b", "check", "dependency", ("a",), False)
        record = outcomes.put({}, "npm", "1", {"default": [Outcome("a", "required", "fail"), waits]})
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "record.json"
            outcomes.write(record, path)
            self.assertEqual(outcomes.read(path), record)

    def test_a_run_replaces_its_own_part_and_what_was_of_another_version(self):
        a, b = [Outcome("a", "required", "pass")], [Outcome("a", "required", "fail")]
        record = outcomes.put(outcomes.put({}, "npm", "1", {"default": a}), "npm", "1", {"options": b})
        self.assertEqual(record["npm"]["configs"], {"default": a, "options": b})
        self.assertEqual(outcomes.put(record, "npm", "2", {"options": a})["npm"]["configs"], {"options": a})


class Rendering(unittest.TestCase):
    def test_scores_reasons_and_places(self):
        found = [Outcome("a", "required", "fail"), Outcome("b", "optimal", "dependency", ("a",)), Outcome("c", "check", "no")]
        passed = [Outcome("a", "required", "pass"), Outcome("b", "optimal", "pass"), Outcome("c", "check", "no")]
        record = {"npm": {"version": "1", "configs": {"default": found, "options": passed}}}
        told = '[[failing]]\ntests = ["a"]\nwhy = "a | b"\n[[check]]\ntests = ["c"]\nanswer = "no"\nwhy = "because"'
        text = document.render(record, reasons.parse(told))
        for line in [
            "| npm cut, default | 0 of 1 | 0 of 1 | 1 of 1 |",
            r"| required | `a` | npm (default) | a \| b |",
            "| optimal | `b` | npm (default) | needs `a` |",
            "| `c` | no | npm | because |",
        ]:
            self.assertIn(line, text.splitlines())
