"""Slow clients: what they cost in memory, and whether the origin is let go."""

import select
import socket
import time

import common

from ..proc import memory, open_files, socket_memory
from ..servers.base import Need
from .base import Column, Row
from .crowd import in_a_process

MIB = 1 << 20
RATE = 20_000
FIGURES = (
    Column("grown_mib", "MiB grown", ",.1f"),
    Column("file_mib", "MiB in files", ",.0f"),
    Column("socket_mib", "MiB in the kernel", ",.0f"),
)


class SlowRow(Row):
    """Clients that read 20 KB/s, all the same object."""

    clients = 0
    sizes = 0, 0  # in full, in quick mode
    path = ""

    def run(self, bench, able, outcome):
        """Once, each against a server of its own."""
        for contender in able:
            self.alone(bench, contender, outcome, 1, lambda server, _: self.measure(bench, server))

    def prepare(self, bench, server, path, size):
        """Before the clients come."""

    def measure(self, bench, server):
        """The most that memory and files grew while the clients read."""
        size = self.sizes[bench.quick]
        path, watch = self.path.format(size), 4 if bench.quick else 8
        self.prepare(bench, server, path, size)
        time.sleep(0.5)
        counts, began = bench.origin.counts(), time.monotonic()
        at_first = memory(server), open_files(server), socket_memory()
        most, released, released_at = [0, 0, 0], 0, None
        with in_a_process(read_slowly, server.port, path, self.clients, watch) as results:
            while time.monotonic() - began < watch - 0.25:
                time.sleep(0.1)
                now = memory(server), open_files(server), socket_memory()
                most = [max(m, n - f) for m, n, f in zip(most, now, at_first)]
                released = bench.origin.counts()["bodies"] - counts["bodies"]
                if released >= self.clients and released_at is None:
                    released_at = time.monotonic() - began
            troubles = results.get(timeout=30)
        asked = bench.origin.counts()["requests"] - counts["requests"]
        figures = {column.key: value / MIB for column, value in zip(FIGURES, most)}
        figures |= {"released": released, "released_s": released_at, "at_origin": asked, "watched_s": watch}
        if wrong := self.wrong_at_origin(asked):
            troubles.append(wrong)
        return figures | {"invalid": troubles}

    def wrong_at_origin(self, asked):
        """What is wrong with so many requests having reached the origin, if anything."""
        raise NotImplementedError


class SlowHitRow(SlowRow):
    """A stored object."""

    name, title, kind = "slow-hit", "200 slow clients on a stored 100 MB object", "slow-hit"
    need = Need("slow-hit")
    clients = 200
    sizes = 100_000_000, 20_000_000
    path = "/{}/large"
    columns = FIGURES

    def prepare(self, bench, server, path, size):
        """Has it stored."""
        for _ in range(2):
            status, _, body = common.get(server.port, path)
            if status != 200 or len(body) != size:
                raise RuntimeError(f"{server.name} answered {path} with {status} and {len(body)} bytes")

    def wrong_at_origin(self, asked):
        """A hit does not ask the origin."""
        return f"{asked} requests reached the origin: the object was not stored" if asked else None


class SlowPassRow(SlowRow):
    """An answer that must not be stored: is the origin released before the clients are done?"""

    name, title, kind = "slow-pass", "20 slow clients on an uncacheable 50 MB answer", "slow-pass"
    need = Need("slow-pass")
    clients = 20
    sizes = 50_000_000, 10_000_000
    path = "/pass/{}/large"
    columns = (
        *FIGURES,
        Column("released", "origin released, of 20"),
        Column("released_s", "all after s", ".2f"),
    )

    def wrong_at_origin(self, asked):
        """Each asks for itself."""
        return f"{asked} requests reached the origin, of {self.clients}" if asked != self.clients else None


def read_slowly(results, port, path, clients, seconds):
    """The clients' process: all ask, then each takes a tenth of its rate every tenth of a second."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    began, troubles, sockets = time.monotonic(), {}, []
    for _ in range(clients):
        sockets.append(socket.create_connection(("127.0.0.1", port), 10))
        sockets[-1].sendall(request)
        sockets[-1].setblocking(False)
    taken = dict.fromkeys(sockets, 0)
    while time.monotonic() - began < seconds:
        time.sleep(0.1)
        for one in select.select(list(taken), [], [], 0)[0]:
            try:
                piece = one.recv(RATE // 10)
            except BlockingIOError:
                continue
            except OSError as error:
                piece, trouble = b"", str(error)
            else:
                trouble = "ended early"
            if taken[one] == 0 and piece and not piece.startswith(b"HTTP/1.1 200"):
                piece, trouble = b"", piece[:20].decode("latin-1")
            taken[one] += len(piece)
            if not piece:
                del taken[one]
                troubles[trouble] = troubles.get(trouble, 0) + 1
    if starved := sum(1 for bytes_taken in taken.values() if bytes_taken < RATE):
        troubles["got less than 20 KB"] = starved
    results.put([f"{n}× {what}" for what, n in troubles.items()])
