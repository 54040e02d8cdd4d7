"""Rows about memory: of a connection that idles, and of an object that is stored."""

import socket
import time

import common

from ..load import Paths
from ..proc import memory
from ..servers.base import Need
from .base import Column, Row
from .crowd import in_a_process

SIZE = 1024
PATH = f"/{SIZE}/object"
MIB = 1 << 20


class IdleRow(Row):
    """Connections that had one answer and are kept open."""

    name, title, kind = "idle", "memory of an idle connection", "idle"
    need = Need("idle")
    columns = (Column("bytes_each", "bytes/connection"), Column("rest_mib", "MiB at rest", ",.1f"))
    connections = 2000
    # Varnish gives back what a request needed after ten.
    idle_seconds = 12

    def run(self, bench, able, outcome):
        """Once, each a server of its own: memory varies little."""
        for contender in able:
            self.alone(bench, contender, outcome, 1, lambda server, _: self.measure(bench, server))

    def measure(self, bench, server):
        """Growth of memory over the connections."""
        warmed = bench.load.open(server.port, Paths(PATH), 0, 0.5, SIZE, requests=5000)
        time.sleep(0.5)
        before = memory(server)
        with in_a_process(hold, server.port, self.connections) as results:
            troubles = results.get(timeout=60)
            time.sleep(self.idle_seconds)
            grown = memory(server) - before
        figures = {"bytes_each": grown / self.connections, "rest_mib": before / MIB}
        return figures | {"invalid": warmed["trouble"] + troubles}


def hold(results, port, count):
    """The clients' process: opens connections, asks once on each, tells what went wrong, and keeps them."""
    held, troubles = [], {}
    for _ in range(count):
        try:
            held.append(socket.create_connection(("127.0.0.1", port), 10))
            held[-1].sendall(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            answer = b""
            while len(answer.partition(b"\r\n\r\n")[2]) < SIZE:
                piece = held[-1].recv(4096)
                if not piece:
                    raise OSError("closed before its answer was whole")
                answer += piece
            if not answer.startswith(b"HTTP/1.1 200"):
                raise OSError(answer[:20].decode("latin-1"))
        except OSError as error:
            troubles[str(error)] = troubles.get(str(error), 0) + 1
    time.sleep(0.5)
    for one in held:
        one.setblocking(False)
        try:
            one.recv(1)
            troubles["closed while idle"] = troubles.get("closed while idle", 0) + 1
        except OSError:
            pass
    results.put([f"{n}× {what}" for what, n in troubles.items()])
    time.sleep(600)


class ObjectsRow(Row):
    """Objects of 1 KB that are all stored."""

    name, title, kind = "objects", "memory of a stored 1 KB object", "objects"
    need = Need("objects")
    columns = (
        Column("bytes_each", "bytes/object"),
        Column("disk_each", "disk bytes/object"),
        Column("at_origin", "not kept of 200,000"),
    )
    objects = 200_000

    def run(self, bench, able, outcome):
        """Once: memory varies little."""
        for contender in able:
            self.alone(bench, contender, outcome, 1, lambda server, _: self.measure(bench, server))

    def measure(self, bench, server):
        """Growth of memory over the objects, which are asked for twice, and then again to see that they are there."""
        paths, troubles = Paths(f"/{SIZE}/kept-"), []
        bench.load.open(server.port, Paths(PATH), 0, 0.5, SIZE, requests=5000)
        time.sleep(0.5)
        before, disk = memory(server), common.disk_bytes(server.log.parent)
        for _ in range(2):
            troubles += bench.load.each(server.port, paths, 0, self.objects, SIZE)["trouble"]
        time.sleep(2)
        figures = {
            "bytes_each": (memory(server) - before) / self.objects,
            "disk_each": (common.disk_bytes(server.log.parent) - disk) / self.objects,
        }
        asked = bench.origin.requests()
        troubles += bench.load.each(server.port, paths, 0, self.objects, SIZE)["trouble"]
        figures["at_origin"] = bench.origin.requests() - asked
        if figures["at_origin"] > self.objects / 100:
            troubles.append(f"{figures['at_origin']:,} of the objects were not kept")
        return figures | {"invalid": troubles}
