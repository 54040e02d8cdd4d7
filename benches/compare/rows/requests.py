"""Rows that count requests: CPU for each in a closed loop, latency in an open one.

Every round says what share of its requests reached the origin, so that nothing but hits is taken for hits.
"""

import common

from ..load import Paths
from ..proc import settle
from ..servers.base import Need
from .base import TROUBLE, Column, Row

KIB = 1024
# Of the slowest peer's requests/s.
SHARE = 0.6
# Requests on their way when wrk stops are answered by the origin, but not counted by wrk.
ON_THE_WAY = 256
HEAD = 1000


class RequestRow(Row):
    """A closed loop of wrk and an open loop at one rate for all."""

    columns = (
        Column("cpu_us", "CPU µs/request", ",.2f"),
        Column("rps", "requests/s"),
        Column("p50_ms", "p50 ms", ",.2f"),
        Column("p99_ms", "p99 ms", ",.2f"),
    )

    def __init__(self, name, title, size, paths, quick=False):
        self.name, self.title, self.size, self.paths, self.quick = name, title, size, paths, quick

    def run(self, bench, able, outcome):
        """Warms, then rounds of the closed loop, then rounds of the open loop."""
        servers, troubles = bench.shared_servers(able, self.need)
        for contender in [c for c in able if c.name in servers]:
            try:
                self.warm(bench, contender, servers[contender.name], outcome)
            except TROUBLE as error:
                del servers[contender.name]
                troubles[contender.name] = error
        for name, error in troubles.items():
            outcome.add(name, {"invalid": [f"{type(error).__name__}: {error}"]})
        for _ in range(bench.rounds):
            for name, server in servers.items():
                try:
                    outcome.add(name, self.closed(bench, server))
                except TROUBLE as error:
                    outcome.add(name, {"invalid": [f"{type(error).__name__}: {error}"]})
        self.latencies(bench, [c for c in able if c.name in servers], servers, outcome)

    def warm(self, bench, contender, server, outcome):
        """Has it answer some requests one after the other, and checks status and length of each answer."""
        result = bench.load.open(server.port, self.paths, 0, 10, self.size, requests=20, connections=1)
        if result["trouble"] or result["requests"] < 20:
            raise RuntimeError(f"{result['requests']} of 20 requests answered, {'; '.join(result['trouble'])}")

    def closed(self, bench, server):
        """One run of wrk: CPU per request, requests/s."""
        before, cpu = bench.origin.requests(), server.cpu_seconds()
        result = bench.load.closed(server.port, self.paths, bench.seconds)
        self.after(server)
        requests = result["requests"]
        result["cpu_us"] = (server.cpu_seconds() - cpu) * 1e6 / requests
        result["at_origin"] = bench.origin.requests() - before
        per_request = result.pop("bytes_read") / requests
        # These are of the closed loop, and say more about wrk's 64 connections than about the server.
        result["closed_p50_ms"], result["closed_p99_ms"] = result.pop("p50_ms"), result.pop("p99_ms")
        result["invalid"] = result.pop("trouble")
        # wrk tells bytes with two decimals.
        if not self.size * 0.98 <= per_request <= (self.size + HEAD) * 1.02:
            result["invalid"].append(f"{per_request:,.0f} bytes for each request")
        if wrong := self.wrong_at_origin(requests, result["at_origin"]):
            result["invalid"].append(wrong)
        self.verify(bench, server, result)
        return result

    def after(self, server):
        """What else belongs to the requests, before CPU is read."""

    def verify(self, bench, server, result):
        """Further checks after a run."""

    def wrong_at_origin(self, requests, reached):
        """What is wrong with so many of the requests having reached the origin, if anything."""
        if not requests <= reached <= requests * 1.01 + ON_THE_WAY:
            return f"{reached:,} of {requests:,} requests reached the origin, instead of all"
        return None

    def latencies(self, bench, able, servers, outcome):
        """Open-loop rounds at one rate, below what the slowest peer did."""
        rate = common_rate(self.kind, able, outcome.rounds)
        if rate is None:
            return
        outcome.facts["rate"] = rate
        for number in range(bench.latency_rounds):
            for name, server in servers.items():
                before = bench.origin.requests()
                result = bench.load.open(server.port, self.paths, rate, bench.seconds, self.size)
                figures = outcome.rounds[name][number]
                figures["open"] = result | {"at_origin": bench.origin.requests() - before}
                troubles = list(result["trouble"])
                if at_origin := self.wrong_at_origin(result["requests"], figures["open"]["at_origin"]):
                    troubles.append(at_origin)
                # A server that cannot keep the rate has the latencies to show for it: those are not hidden.
                wrong = [trouble for trouble in troubles if "not answered in time" not in trouble]
                figures["invalid"] += [f"open loop: {trouble}" for trouble in wrong]
                figures |= {key: result.get(key) for key in ("p50_ms", "p99_ms")}
                shown = f"{figures['p50_ms']:.2f} / {figures['p99_ms']:.2f}" if result["requests"] else "–"
                print("; ".join([f"{self.name} at {rate:,.0f}/s {name:15} {shown} ms", *troubles]), flush=True)


def common_rate(kind, able, rounds):
    """60 % of the requests/s of the slowest peer; of the slowest of all if no peer ran."""
    rates = {c.name: common.median(r["rps"] for r in rounds[c.name] if "rps" in r) for c in able}
    rates = {name: rate for name, rate in rates.items() if rate}
    peers = [rates[c.name] for c in able if c.role_in(kind) == "peer" and c.name in rates] or list(rates.values())
    return round(min(peers) * SHARE) if peers else None


class HitRow(RequestRow):
    """Hits: none may reach the origin."""

    kind = "hit"

    def wrong_at_origin(self, requests, reached):
        """A hit does not ask the origin."""
        return f"{reached:,} requests reached the origin: not all were hits" if reached else None


class DistinctRow(HitRow):
    """Hits of many objects, each asked for equally often."""

    kind = "distinct"
    passes = 4

    def warm(self, bench, contender, server, outcome):
        """Asks for all objects until none of them has to come from the origin."""
        for number in range(self.passes):
            before = bench.origin.requests()
            result = bench.load.each(server.port, self.paths, 0, self.paths.objects, self.size)
            missed = bench.origin.requests() - before
            if result["requests"] < self.paths.objects or result["trouble"]:
                raise RuntimeError(f"{contender.name} does not take the objects: {result}")
            if missed == 0:
                break
        outcome.facts.setdefault("passes", {})[contender.name] = number + 1

    def wrong_at_origin(self, requests, reached):
        """One in a thousand may have been evicted."""
        return super().wrong_at_origin(requests, reached) if reached > requests / 1000 else None


class PassRow(RequestRow):
    """What must not be stored goes to the origin, every time."""

    kind = "pass"


class MissRow(RequestRow):
    """Every request is for a new object, which is stored; what is written behind the answer counts."""

    kind = "miss"
    need = Need("miss")
    columns = (*RequestRow.columns, Column("kept", "kept", ".0%"))
    sample = 200
    first_objects = 15_000

    def warm(self, bench, contender, server, outcome):
        """Stores some objects beforehand: nginx makes 4,096 directories, most of them in the first seconds."""
        super().warm(bench, contender, server, outcome)
        bench.load.open(server.port, self.paths, 0, 10, self.size, requests=self.first_objects)

    def after(self, server):
        """Waits for what is written behind the answers."""
        settle(server)

    def verify(self, bench, server, result):
        """Asks for the first ones again: a server that does not store is cheap."""
        before = bench.origin.requests()
        count = min(self.sample, result["requests"] // 4 or 1)
        again = bench.load.each(server.port, self.paths, result["base"], count, self.size)
        result["kept"] = 1 - (bench.origin.requests() - before) / count
        result["invalid"] += again["trouble"]
        if result["kept"] < 0.9:
            result["invalid"].append(f"stored only {result['kept']:.0%} of what was asked for")


def request_rows():
    """All of them, those with equal needs one after the other."""
    hits = [
        HitRow(f"hit-{kib}k", f"h1 hit, {kib} KB", kib * KIB, Paths(f"/{kib * KIB}/object"), kib in (1, 64))
        for kib in (1, 16, 64)
    ]
    return [
        *hits,
        HitRow("hit-1m", "h1 hit, 1 MB", KIB * KIB, Paths(f"/{KIB * KIB}/object")),
        PassRow("pass-1k", "pass, 1 KB", KIB, Paths(f"/pass/{KIB}/object"), quick=True),
        DistinctRow("distinct-1k", "h1 hit, 200,000 objects of 1 KB", KIB, Paths(f"/{KIB}/many-", objects=200_000)),
        MissRow("miss-1k", "miss and store, 1 KB", KIB, Paths(f"/{KIB}/new-", new=True), quick=True),
    ]
