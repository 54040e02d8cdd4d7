"""What a run found, as tables for a terminal and as JSON."""

import common

from .figures import best_peer, medians, ratio, spread


# What the open-loop client may add to a p99 before that is said.
LATE_MS = 1


class Summary:
    """Medians of a row, and who was the best peer."""

    def __init__(self, outcome):
        self.outcome, self.row = outcome, outcome.row
        self.key = self.row.columns[0].key
        self.medians = {name: medians(rounds) for name, rounds in outcome.rounds.items()}
        self.values = {name: figures.get(self.key) for name, figures in self.medians.items()}
        self.best = best_peer(self.values, outcome.roles)

    def ratio(self, name, to=None):
        """The row's figure of a server to that of another, by default to the best peer's."""
        return ratio(self.values.get(name), self.values.get(to or self.best))

    def troubles(self):
        """Why figures are missing or must not be trusted: (server, reason)."""
        yield from self.late_clients()
        for name, rounds in self.outcome.rounds.items():
            reasons = dict.fromkeys(reason for r in rounds for reason in r.get("invalid", ()))
            bad = sum(bool(r.get("invalid")) for r in rounds)
            for reason in list(reasons)[:3]:
                yield name, f"{bad} of {len(rounds)} rounds invalid: {reason}"

    def late_clients(self):
        """Servers whose latencies are the client's: it found no core in time, for something else was running."""
        for name, rounds in self.outcome.rounds.items():
            lag = common.median(r["open"].get("lag_p99_ms", 0) for r in rounds if "open" in r)
            if lag is not None and lag > LATE_MS:
                yield name, f"the client itself was late by over {LATE_MS} ms at p99: do not quote latencies"


def number(value, style):
    """A figure as text."""
    return "–" if value is None else format(value, style)


def head_of(row, facts):
    """The title of a row's table."""
    rate = f"; latencies at {facts['rate']:,} requests/s for all" if "rate" in facts else ""
    return f"{row.name}: {row.title}{rate}"


def lines(summary):
    """Head and rows of a row's table."""
    columns = summary.row.columns
    head = ["", columns[0].heading, "(lowest–highest)", *(c.heading for c in columns[1:]), "/ best peer"]
    rows = []
    for name, figures in summary.medians.items():
        low_high = spread(summary.outcome.rounds[name], summary.key)
        style = columns[0].style
        between = "–" if low_high is None else f"({low_high[0]:{style}}–{low_high[1]:{style}})"
        mark = {"peer": " *" if name == summary.best else "", "reference": " (reference)"}
        row = [name + mark.get(summary.outcome.roles.get(name), ""), number(figures.get(columns[0].key), style)]
        row += [between, *(number(figures.get(c.key), c.style) for c in columns[1:])]
        rows.append([*row, number(summary.ratio(name), ".2f")])
    return head, rows


def show(outcome):
    """Prints a row's table, and below it what is missing and why."""
    summary = Summary(outcome)
    print(f"\n{head_of(outcome.row, outcome.facts)}\n")
    if outcome.rounds:
        common.table(*lines(summary))
    for name, reason in outcome.skipped.items():
        print(f"– {name}: {reason}")
    for name, reason in summary.troubles():
        print(f"! {name}: {reason}")
    print(flush=True)


def as_data(outcome):
    """A row for the JSON."""
    summary = Summary(outcome)
    return {
        "title": outcome.row.title,
        "figure": summary.key,
        "facts": outcome.facts,
        "roles": outcome.roles,
        "best_peer": summary.best,
        "ratio_to_best_peer": {name: summary.ratio(name) for name in summary.values},
        "median": summary.medians,
        "skipped": outcome.skipped,
        "rounds": outcome.rounds,
    }
