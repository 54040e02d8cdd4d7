"""Outcomes made up for tests."""

from compare.rows.base import Column, Outcome, Row


class MadeUp(Row):
    """A row that nothing runs."""

    name, title, kind = "made-up", "a made up row", "hit"
    columns = (Column("cpu_us", "CPU µs/request", ",.2f"), Column("rps", "requests/s"))


def outcome(roles, **rounds):
    """An outcome: for each server its cpu_us round by round, None for an invalid round."""
    made = Outcome(MadeUp(), roles=roles)
    for name, values in rounds.items():
        name = name.replace("_", "-")
        made.rounds[name] = [
            {"invalid": ["it broke"]} if value is None else {"cpu_us": value, "rps": 50_000.0, "invalid": []}
            for value in values
        ]
    return made


ROLES = {"forebay": "forebay", "forebay-logged": "forebay", "nginx": "peer", "haproxy": "peer", "epoll": "reference"}
