"""What a run's results come to, counted as the suite's own display counts them: a test has passed only if every test
that it depends on has passed too."""

from dataclasses import dataclass

# What may become of a test. Of a check, YES and NO are both fine answers.
PASS, FAIL, YES, NO = "pass", "fail", "yes", "no"
# The test could not get as far as its own question, because: a test it depends on has not passed; its preparation was
# not answered as it must be; the client sent a request twice; a request took too long; the client left it out.
DEPENDENCY, SETUP, RETRY, HARNESS, UNTESTED = "dependency", "setup", "retry", "harness", "untested"

KINDS = ("required", "optimal", "check")


@dataclass(frozen=True)
class Test:
    """One test as the suite describes it."""

    id: str
    kind: str = "required"
    group: str = ""
    needs: tuple = ()
    name: str = ""
    # Whether the suite's own list has it; what it keeps beside that list is run, and counted apart.
    listed: bool = True


@dataclass(frozen=True)
class Score:
    """How many tests of a kind there are, and how many passed (of checks: were answered)."""

    passed: int
    total: int

    def __str__(self):
        return f"{self.passed} of {self.total}"


def states(tests, results):
    """The state of every test by its id. `results` is what the client wrote: true, or [kind of error, message].

    Raises ValueError if tests depend on each other in a circle, or on one that is not there.
    """
    known, found, under_way = {test.id: test for test in tests}, {}, set()

    def state(id):
        if id not in known:
            raise ValueError(f"no test {id}, on which another depends")
        if id in under_way:
            raise ValueError(f"{id} depends on itself")
        if id not in found:
            under_way.add(id)
            found[id] = judge(known[id])
            under_way.discard(id)
        return found[id]

    def judge(test):
        if test.id not in results:
            return UNTESTED
        if any(state(need) not in (PASS, YES) for need in test.needs):
            return DEPENDENCY
        return alone(test.kind, results[test.id])

    return {test.id: state(test.id) for test in tests}


def alone(kind, result):
    """The state of a test whose dependencies have passed."""
    if result is True:
        return YES if kind == "check" else PASS
    error, text = (*result, "", "")[:2] if isinstance(result, list) else ("", "")
    if error == "Setup":
        return RETRY if text == "retry" else SETUP
    if error == "AbortError":
        return HARNESS
    return NO if kind == "check" else FAIL


def score(outcomes, kind, listed=True):
    """The score of one kind, of the suite's list or beside it."""
    chosen = [outcome.state for outcome in outcomes if outcome.kind == kind and outcome.listed == listed]
    return Score(sum(state in (PASS, YES, NO) for state in chosen), len(chosen))


def roots(test, tests, states):
    """The tests that keep this one from passing: itself, or those it depends on, however far, that fail themselves."""
    if states[test.id] != DEPENDENCY:
        return {test.id}
    known = {other.id: other for other in tests}
    blocking = [known[need] for need in test.needs if states[need] not in (PASS, YES)]
    return set().union(*(roots(need, tests, states) for need in blocking))
