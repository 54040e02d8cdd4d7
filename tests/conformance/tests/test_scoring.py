"""The suite's way of counting, dependencies included."""

import unittest

from conformance import outcomes, scoring
from conformance.scoring import Test


def judged(tests, **results):
    """The states of tests whose ids are single words."""
    return scoring.states(tests, results)


FAILED = ["Assertion", "Response 2 comes from cache"]


class Alone(unittest.TestCase):
    def test_what_passed_and_what_failed_by_kind(self):
        tests = [Test("a"), Test("b"), Test("c", "optimal"), Test("d", "check"), Test("e", "check")]
        states = judged(tests, a=True, b=FAILED, c=FAILED, d=True, e=FAILED)
        self.assertEqual(states, {"a": "pass", "b": "fail", "c": "fail", "d": "yes", "e": "no"})

    def test_a_test_that_did_not_reach_its_question_has_neither_passed_nor_answered(self):
        tests = [Test("a", "check"), Test("b"), Test("c"), Test("d")]
        states = judged(tests, a=["Setup", "no"], b=["Setup", "retry"], c=["AbortError", "slow"])
        self.assertEqual(states, {"a": "setup", "b": "retry", "c": "harness", "d": "untested"})

    def test_an_error_of_the_client_is_a_failure(self):
        self.assertEqual(judged([Test("a")], a=["TypeError", "fetch failed"])["a"], "fail")


class Dependencies(unittest.TestCase):
    def test_what_depends_on_a_failure_has_not_passed_however_far_away(self):
        tests = [Test("c", needs=("b",)), Test("b", needs=("a",)), Test("a")]
        self.assertEqual(judged(tests, a=FAILED, b=True, c=True), {"a": "fail", "b": "dependency", "c": "dependency"})
        self.assertEqual(judged(tests, a=True, b=True, c=True), {"a": "pass", "b": "pass", "c": "pass"})

    def test_a_check_that_is_answered_yes_is_enough_and_one_that_is_answered_no_is_not(self):
        tests = [Test("check", "check"), Test("a", needs=("check",))]
        self.assertEqual(judged(tests, check=True, a=True)["a"], "pass")
        self.assertEqual(judged(tests, check=FAILED, a=True)["a"], "dependency")

    def test_all_dependencies_must_pass(self):
        tests = [Test("a"), Test("b"), Test("c", needs=("a", "b"))]
        self.assertEqual(judged(tests, a=True, b=FAILED, c=True)["c"], "dependency")

    def test_a_dependency_hides_the_tests_own_failure(self):
        tests = [Test("a"), Test("b", needs=("a",))]
        self.assertEqual(judged(tests, a=FAILED, b=FAILED)["b"], "dependency")

    def test_the_roots_are_the_tests_that_failed_themselves(self):
        tests = [Test("a"), Test("x"), Test("b", needs=("a", "x")), Test("c", needs=("b",))]
        states = judged(tests, a=FAILED, x=True, b=FAILED, c=True)
        self.assertEqual(scoring.roots(tests[3], tests, states), {"a"})

    def test_a_circle_and_a_test_that_is_not_there_are_refused(self):
        with self.assertRaisesRegex(ValueError, "depends on itself"):
            judged([Test("a", needs=("b",)), Test("b", needs=("a",))], a=True, b=True)
        with self.assertRaisesRegex(ValueError, "no test b"):
            judged([Test("a", needs=("b",))], a=True)


class Scores(unittest.TestCase):
    def setUp(self):
        tests = [Test("a"), Test("b", needs=("a",)), Test("o", "optimal"), Test("k", "check"), Test("s", listed=False)]
        self.found = outcomes.of_run(tests, judged(tests, a=FAILED, b=True, o=True, k=FAILED, s=FAILED))

    def test_each_kind_apart_and_only_the_suites_own_list(self):
        self.assertEqual([str(scoring.score(self.found, kind)) for kind in scoring.KINDS], ["0 of 2", "1 of 1", "1 of 1"])
        self.assertEqual(str(scoring.score(self.found, "required", listed=False)), "0 of 1")

    def test_not_passed_are_required_and_optimal_ones(self):
        self.assertEqual([outcome.id for outcome in outcomes.not_passed(self.found)], ["a", "b"])
        self.assertEqual(self.found[1].roots, ("a",))
