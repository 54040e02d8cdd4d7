"""The file of reasons: which tests are not passed and why, and what we answer to each behaviour check and why."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .outcomes import CONFIGS, CUTS
from .scoring import DEPENDENCY, NO, PASS, YES

FILE = Path(__file__).resolve().parent / "reasons.toml"
# How the file calls the state of a check that could not ask its question.
UNANSWERED = "unanswered"


class BadReasons(Exception):
    """The file makes no sense: where and why."""


@dataclass(frozen=True)
class Reason:
    """Why a test is not passed, or, with an `answer`, why a check is answered so."""

    why: str
    answer: str = ""


class Reasons:
    """The reasons by test, for every cut and configuration."""

    def __init__(self, entries):
        self.entries = entries

    def of(self, cut, config, id):
        """The reason of a test in a cut and a configuration, or None."""
        return self.entries.get((cut, config, id))

    def named(self, cut):
        """The tests that are named for a cut."""
        return {id for named_cut, _, id in self.entries if named_cut == cut}


def read(path=FILE):
    """The file's reasons. Raises BadReasons."""
    return parse(path.read_text())


def parse(text):
    """The reasons out of a text. Raises BadReasons."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadReasons(f"no TOML: {error}") from error
    if unknown := said.keys() - {"failing", "check"}:
        raise BadReasons(f"unknown: {', '.join(sorted(unknown))}")
    entries = {}
    for table in ("failing", "check"):
        for entry in said.get(table, []):
            for place, reason in places(table, entry):
                if place in entries:
                    raise BadReasons(f"{place[2]} is there twice for {place[0]}, {place[1]}")
                entries[place] = reason
    return Reasons(entries)


def places(table, entry):
    """What one entry says, by cut, configuration and test."""
    keys = {"tests", "why", "cuts", "configs"} | ({"answer"} if table == "check" else set())
    if unknown := entry.keys() - keys:
        raise BadReasons(f"[[{table}]] has no key {', '.join(sorted(unknown))}: {entry}")
    tests, why = entry.get("tests"), entry.get("why", "").strip()
    if not tests or not why:
        raise BadReasons(f"[[{table}]] needs tests and why: {entry}")
    if table == "check" and entry.get("answer") not in (YES, NO, UNANSWERED):
        raise BadReasons(f"[[check]] needs an answer, yes, no or unanswered: {entry}")
    cuts, configs = entry.get("cuts", CUTS), entry.get("configs", CONFIGS)
    if set(cuts) - set(CUTS) or set(configs) - set(CONFIGS):
        raise BadReasons(f"cuts are {CUTS}, configs {CONFIGS}: {entry}")
    reason = Reason(why, entry.get("answer", ""))
    return [((cut, config, id), reason) for cut in cuts for config in configs for id in tests]


def differences(reasons, cut, config, outcomes):
    """What is otherwise than the file tells, one line each; nothing if all is as expected."""
    listed = [outcome for outcome in outcomes if outcome.listed]
    known = {outcome.id for outcome in listed}
    lines = []
    for outcome in listed:
        judged = check_differs if outcome.kind == "check" else test_differs
        if line := judged(outcome, reasons.of(cut, config, outcome.id), explained(reasons, cut, config, outcome)):
            lines.append(f"{outcome.id}: {line}")
    for (named_cut, named_config, id) in reasons.entries:
        if (named_cut, named_config) == (cut, config) and id not in known:
            lines.append(f"{id}: the {cut} cut has no such test; take it out of the file of reasons")
    return lines


def explained(reasons, cut, config, outcome):
    """Whether everything that a test depends on and that kept it from passing has its own reason."""
    return outcome.state == DEPENDENCY and all(reasons.of(cut, config, root) for root in outcome.roots)


def test_differs(outcome, reason, explained):
    """How a required or optimal test is otherwise than told, or ""."""
    if reason and reason.answer:
        return f"is {outcome.kind}, not a check: its reason belongs under [[failing]]"
    if outcome.state == PASS:
        return "passes now: take it out of the file of reasons" if reason else ""
    return "" if reason or explained else f"{outcome.kind}, does not pass ({outcome.state}), and no reason is told"


def check_differs(outcome, reason, explained):
    """How a check is otherwise than told, or ""."""
    answer = outcome.state if outcome.state in (YES, NO) else UNANSWERED
    if reason and not reason.answer:
        return "is a check: its reason belongs under [[check]]"
    if reason and reason.answer != answer:
        return f"the answer is {answer}, not {reason.answer}"
    return "" if reason or explained else f"check, answered {answer}, and no reason is told"
