"""Medians over rounds, the best peer, ratios. Rounds that are invalid count for nothing."""

import common


def valid(rounds):
    """The rounds whose figures may be used."""
    return [r for r in rounds if not r.get("invalid")]


def medians(rounds):
    """The median of each figure over the valid rounds; None of a figure that no round has."""
    good = valid(rounds)
    keys = dict.fromkeys(key for r in good for key, value in r.items() if is_number(value))
    return {key: common.median(r[key] for r in good if is_number(r.get(key))) for key in keys}


def is_number(value):
    """Whether it is a figure."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def spread(rounds, key):
    """Lowest and highest of a figure over the valid rounds, or None."""
    values = [r[key] for r in valid(rounds) if is_number(r.get(key))]
    return (min(values), max(values)) if values else None


def ratio(own, other):
    """How many times as dear; None where one of them is missing, or the other is nothing or less."""
    return own / other if own is not None and other is not None and other > 0 else None


def best_peer(values, roles):
    """The peer with the least figure, out of {server: figure}; None if no peer has one."""
    peers = {name: v for name, v in values.items() if roles.get(name) == "peer" and v is not None}
    return min(peers, key=peers.get) if peers else None


def in_round(rounds, number, key):
    """A figure of one round: None if it is invalid; of a server with fewer rounds the median."""
    if number >= len(rounds):
        return medians(rounds).get(key)
    figures = rounds[number]
    return None if figures.get("invalid") else figures.get(key)
