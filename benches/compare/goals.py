"""Goals: what a row's ratio or figure must not exceed. `goals.toml` tells the format."""

import tomllib
from dataclasses import dataclass, fields

from .figures import best_peer, in_round, ratio

# A goal is missed in a round when it is exceeded by more than this.
SLACK = 1.05


class BadGoals(ValueError):
    """A goals file that makes no sense."""


@dataclass(frozen=True)
class Goal:
    """One goal."""

    row: str
    at_most: float
    against: str = "best"
    figure: str = ""
    subject: str = "forebay"

    def text(self):
        """In words."""
        figure = self.figure or "its figure"
        against = {"best": "the best peer's", "nothing": ""}.get(self.against, f"{self.against}'s")
        bound = f"{self.at_most:g} × {against}" if against else f"{self.at_most:g}"
        return f"{self.row}: {figure} of {self.subject} at most {bound}"


@dataclass(frozen=True)
class Verdict:
    """What became of a goal. `values` has what each round came to, None where it was invalid."""

    goal: Goal
    values: tuple
    missed: bool
    unjudged: str = ""

    def text(self):
        """In words."""
        if self.unjudged:
            return f"not judged  {self.goal.text()} ({self.unjudged})"
        values = ", ".join("invalid" if v is None else f"{v:.3g}" for v in self.values)
        return f"{'MISSED     ' if self.missed else 'reached    '} {self.goal.text()}; rounds: {values}"


def read(path, rows, servers):
    """The goals in a file, checked against the names of rows and servers; raises BadGoals."""
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadGoals(f"{path}: {error}") from error
    if unknown := set(data) - {"goal"}:
        raise BadGoals(f"{path}: only [[goal]] tables are known, not {', '.join(sorted(unknown))}")
    return [check(path, table, rows, servers) for table in data.get("goal", [])]


def check(path, table, rows, servers):
    """One table as a goal."""
    known = {f.name for f in fields(Goal)}
    if unknown := set(table) - known:
        raise BadGoals(f"{path}: unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    if missing := {"row", "at_most"} - set(table):
        raise BadGoals(f"{path}: a goal without {' and '.join(sorted(missing))}")
    goal = Goal(**table)
    if goal.row not in rows:
        raise BadGoals(f"{path}: no row is called {goal.row!r}; there are {', '.join(rows)}")
    for name in {goal.subject, goal.against} - {"best", "nothing"}:
        if name not in servers:
            raise BadGoals(f"{path}: no server is called {name!r}; there are {', '.join(servers)}")
    if not isinstance(goal.at_most, (int, float)) or isinstance(goal.at_most, bool) or goal.at_most <= 0:
        raise BadGoals(f"{path}: at_most of {goal.row} must be a number above 0")
    return goal


def judge(goal, outcome):
    """Whether a goal was reached: missed if exceeded by over 5 % in two of three rounds. An invalid round of the
    subject counts as one that missed it."""
    if outcome is None:
        return Verdict(goal, (), False, "the row was not run")
    own = outcome.rounds.get(goal.subject)
    if not own:
        return Verdict(goal, (), False, f"{goal.subject} was not run")
    key = goal.figure or outcome.row.columns[0].key
    others = {name: rounds for name, rounds in outcome.rounds.items() if name != goal.subject}
    values = []
    for number, _ in enumerate(own):
        mine = in_round(own, number, key)
        if goal.against == "nothing":
            values.append(mine)
            continue
        theirs = {name: in_round(rounds, number, key) for name, rounds in others.items()}
        rival = best_peer(theirs, outcome.roles) if goal.against == "best" else goal.against
        if mine is not None and theirs.get(rival) is None:
            continue
        values.append(ratio(mine, theirs.get(rival)))
    if not values:
        return Verdict(goal, (), False, "nothing to compare with has a figure")
    return Verdict(goal, tuple(values), is_missed(values, goal.at_most))


def is_missed(values, at_most):
    """Two of three rounds, or as large a part of any other number of rounds."""
    misses = sum(value is None or value > at_most * SLACK for value in values)
    return misses * 3 >= len(values) * 2
