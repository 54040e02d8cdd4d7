"""Collapsing: what a crowd gets that wants one cold object, and what the origin sees."""

import multiprocessing

import collapse  # the bench beside this one: its origin, and its clients that check every byte
import common

from ..servers.base import Need
from .base import Column, Row


class CollapseRow(Row):
    """500 clients want one cold object of 100 KB; the origin's head comes after a second."""

    name, title, kind = "collapse", "500 clients, one cold object, head after 1 s", "collapse"
    need = Need("collapse", collapse=True)
    columns = (
        Column("p99_ms", "p99 ms of the first byte", ",.0f"),
        Column("p50_ms", "p50 ms", ",.0f"),
        Column("at_origin", "at origin"),
        Column("cpu_ms", "CPU ms", ",.0f"),
    )
    clients = 500

    def run(self, bench, able, outcome):
        """Servers in front of the slow origin of collapse.py, each round with objects of its own."""
        port, ready = common.free_port(), multiprocessing.Event()
        origin = multiprocessing.Process(target=collapse.run_origin, args=(port, ready), daemon=True)
        origin.start()
        try:
            if not ready.wait(10):
                raise RuntimeError("the slow origin does not start")
            for contender in able:
                measure = lambda server, number: self.measure(server, port, number)
                self.alone(bench, contender, outcome, min(bench.rounds, 3), measure, port)
        finally:
            origin.kill()
            origin.join()

    def measure(self, server, port, number):
        """One crowd."""
        cpu = server.cpu_seconds()
        path = f"/slow-head/{server.name}-{number}"
        scene = collapse.scene(server, port, path, collapse.HEAD_BODY, self.clients)
        first = scene["first_byte_ms"] or {}
        return {
            "p99_ms": first.get("p99"),
            "p50_ms": first.get("p50"),
            "at_origin": scene["origin_requests"],
            "cpu_ms": (server.cpu_seconds() - cpu) * 1000,
            "total_ms": scene["total_ms"],
            "invalid": [f"{n}× {what}" for what, n in scene["errors"].items()],
        }
