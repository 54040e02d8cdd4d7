"""Hits from disk: the scene of disk.py, which loads the servers, restarts them and empties the page cache."""

import argparse

import disk  # the bench beside this one

from ..servers.base import Need
from .base import Column, Row

MIB = 1 << 20


class DiskRow(Row):
    """40,000 objects of 32 KB of which memory holds a twentieth, a cold walk or random hits with a warm page cache.

    Both states come out of one scene, so the first of the two rows that is asked for plays it.
    """

    kind = "disk"
    needs = {"nginx": "nginx-light"}  # its origin
    need = Need("disk")
    columns = (
        Column("cpu_us", "CPU µs/request", ",.1f"),
        Column("rps", "requests/s"),
        Column("p50_ms", "p50 ms (closed)", ",.2f"),
        Column("p99_ms", "p99 ms (closed)", ",.2f"),
    )

    def __init__(self, state):
        self.state = state
        self.name = f"disk-{state}"
        self.title = f"hit from disk, 32 KB, {'page cache empty' if state == 'cold' else 'page cache warm'}"

    def run(self, bench, able, outcome):
        """Takes its half of the scene."""
        names = [c.name for c in able]
        scene = bench.once(("disk", *names), lambda: self.scene(bench, names))
        outcome.facts |= {"objects": scene["objects"], "tier_bytes": scene["tier_bytes"]}
        for name in names:
            for figures in scene["rounds"][f"{name} {self.state}"]:
                invalid = [str(t) for t in figures.get("trouble", [])]
                # Some few are not kept when they are loaded; disk.py says how many passes that took.
                if figures["origin_requests"] > figures["requests"] / 100:
                    invalid.append(f"{figures['origin_requests']:,} requests reached the origin")
                outcome.add(name, figures | {"invalid": invalid})

    def scene(self, bench, names):
        """Plays it, with an origin of its own."""
        scale = 0.2 if bench.quick else 0.5
        how = argparse.Namespace(scale=scale, share=0.05, rounds=min(bench.rounds, 3), seconds=bench.seconds)
        place = bench.place / "disk"
        place.mkdir()
        if not disk.drop_caches():
            print("  the page cache cannot be emptied: cold is only restarted; run as root", flush=True)
        source, log = disk.origin(place)
        try:
            source.wait_ready()
            return disk.hits("32K", names, place, source, log, how)
        finally:
            source.stop()
