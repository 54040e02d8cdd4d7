"""What a row of the comparison is, and what comes out of it."""

import queue
import subprocess
import sys
from dataclasses import dataclass, field

from ..servers.base import Need

# What a server's misbehaviour comes to here.
TROUBLE = (RuntimeError, OSError, ValueError, IndexError, queue.Empty, subprocess.TimeoutExpired)


@dataclass(frozen=True)
class Column:
    """A figure of a row, and how it is shown."""

    key: str
    heading: str
    style: str = ",.0f"


@dataclass
class Outcome:
    """The figures of a row: for each server those of its rounds, or why it has none.

    A round is a dictionary. `invalid` in it holds reasons why its figures must not be used.
    """

    row: "Row"
    rounds: dict = field(default_factory=dict)
    skipped: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    roles: dict = field(default_factory=dict)

    def add(self, name, figures):
        """Adds a round, and says aloud if it is invalid."""
        self.rounds.setdefault(name, []).append(figures)
        number = len(self.rounds[name])
        key = self.row.columns[0].key
        value = f"{figures[key]:12,.1f}" if figures.get(key) is not None else "           –"
        print(f"{self.row.name} round {number} {name:15}{value} {self.row.columns[0].heading}", flush=True)
        for reason in figures.get("invalid", ()):
            print(f"  INVALID: {name}: {reason}", file=sys.stderr, flush=True)


class Row:
    """One job that all servers do. The first column is the row's figure: less is better."""

    name = title = kind = ""
    quick = False
    needs = {}  # commands and the Debian packages that bring them, beside those of the servers
    columns: tuple = ()
    need = Need("memory")

    def play(self, bench, contenders):
        """Runs all its rounds against those who can, and returns the outcome."""
        outcome = Outcome(self)
        able = []
        for contender in contenders:
            outcome.roles[contender.name] = contender.role_in(self.kind)
            if (reason := contender.refusal(self.kind)) is None:
                able.append(contender)
            else:
                outcome.skipped[contender.name] = reason
        self.run(bench, able, outcome)
        return outcome

    def run(self, bench, able, outcome):
        """The rounds themselves."""
        raise NotImplementedError

    def alone(self, bench, contender, outcome, rounds, measure, origin=None):
        """Rounds of `measure(server, number)` against a server that runs alone. One that does not start, or breaks
        what is asked of it, has an invalid round and does not end the bench."""
        try:
            with bench.fresh_server(contender, self.need, origin) as server:
                for number in range(rounds):
                    outcome.add(contender.name, measure(server, number))
        except TROUBLE as error:
            outcome.add(contender.name, {"invalid": [f"{type(error).__name__}: {error}"]})
