"""The file of reasons, and what counts as otherwise than told."""

import unittest

from conformance import reasons
from conformance.outcomes import Outcome
from conformance.reasons import BadReasons


def differences(text, *found, cut="npm", config="default"):
    """What differs between these outcomes and a file with this text."""
    return reasons.differences(reasons.parse(text), cut, config, found)


def failing(*tests, more=""):
    """An entry for tests that are not passed."""
    return f'[[failing]]\ntests = {list(tests)}\nwhy = "so"\n{more}\n'


def check(answer, *tests):
    """An entry for checks."""
    return f'[[check]]\ntests = {list(tests)}\nanswer = "{answer}"\nwhy = "so"\n'


class Tests(unittest.TestCase):
    def test_a_pass_needs_no_reason_and_a_failure_does(self):
        self.assertEqual(differences("", Outcome("a", "required", "pass")), [])
        self.assertIn("no reason is told", differences("", Outcome("a", "required", "fail"))[0])
        self.assertEqual(differences(failing("a"), Outcome("a", "optimal", "setup")), [])

    def test_one_that_is_told_to_fail_and_passes_is_told(self):
        self.assertIn("passes now", differences(failing("a"), Outcome("a", "required", "pass"))[0])

    def test_a_reason_holds_only_where_it_says(self):
        text = failing("a", more='cuts = ["npm"]\nconfigs = ["default"]')
        outcome = Outcome("a", "required", "fail")
        self.assertEqual(differences(text, outcome), [])
        self.assertEqual(len(differences(text, outcome, config="options")), 1)
        self.assertEqual(len(differences(text, outcome, cut="current")), 1)

    def test_what_waits_for_tests_with_reasons_needs_none(self):
        root, waits = Outcome("a", "required", "fail"), Outcome("b", "required", "dependency", ("a",))
        self.assertEqual(differences(failing("a"), root, waits), [])
        two = Outcome("b", "required", "dependency", ("a", "c"))
        self.assertEqual(len(differences(failing("a"), root, two)), 1)

    def test_a_test_that_the_suite_has_not_is_told(self):
        self.assertIn("has no such test", differences(failing("gone"), Outcome("a", "required", "pass"))[0])

    def test_what_the_suite_does_not_list_is_not_judged(self):
        self.assertEqual(differences("", Outcome("a", "required", "fail", listed=False)), [])


class Checks(unittest.TestCase):
    def test_each_answer_has_its_reason(self):
        self.assertIn("no reason", differences("", Outcome("a", "check", "yes"))[0])
        self.assertEqual(differences(check("no", "a"), Outcome("a", "check", "no")), [])
        self.assertIn("is yes, not no", differences(check("no", "a"), Outcome("a", "check", "yes"))[0])

    def test_one_that_could_not_ask_is_unanswered(self):
        self.assertEqual(differences(check("unanswered", "a"), Outcome("a", "check", "retry")), [])
        self.assertIn("is unanswered, not yes", differences(check("yes", "a"), Outcome("a", "check", "setup"))[0])

    def test_the_two_tables_are_not_mixed_up(self):
        self.assertIn("[[check]]", differences(failing("a"), Outcome("a", "check", "no"))[0])
        self.assertIn("[[failing]]", differences(check("no", "a"), Outcome("a", "required", "fail"))[0])


class File(unittest.TestCase):
    def test_what_makes_no_sense_is_refused(self):
        for text, said in [
            ("x", "no TOML"),
            ("[[other]]", "unknown: other"),
            ('[[failing]]\ntests = ["a"]', "needs tests and why"),
            (failing("a", more='suite = "npm"'), "has no key suite"),
            (failing("a", more='cuts = ["newest"]'), "cuts are"),
            (failing("a") + failing("a"), "there twice"),
            (check("maybe", "a"), "needs an answer"),
        ]:
            with self.subTest(text), self.assertRaisesRegex(BadReasons, said.replace("[", r"\[")):
                reasons.parse(text)
