#!/usr/bin/env python3
"""Collapsing: many clients want one cold object at once. What does the origin see, and when do they get bytes?

    python3 benches/collapse.py [--rounds 1] [--clients 500] [--only NAME]... [--binary PATH] [--json FILE]

Five scenes against each server, each round with objects of its own:

    slow-head      the origin's head comes after 1 s; 100 KB body; cacheable
    warm           the same object again, now a hit: what the bench and the machine cost
    slow-body      the head comes at once, 300 KB of body evenly over 3 s; cacheable
    uncacheable    50 clients, head after 1 s, no-store: nobody knows yet that it cannot be shared
    uncacheable-2  the same object again: now a cache may know

See README.md for how to read the figures.
"""

import asyncio
import json
import multiprocessing
import re
import select
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

HEAD_BODY = bytes(i * 31 % 251 for i in range(100_000))
DRIP_BODY = bytes(i * 37 % 241 for i in range(300_000))
SMALL_BODY = bytes(i * 41 % 239 for i in range(1_000))
DEADLINE = 90
BODIES_AT_ONCE = 16


# ---- the origin: a process of its own ----


class Origin:
    """Answers the three kinds of path; `/seen/...` tells, of another path, how many requests there were and when
    the head of the first answer was written."""

    def __init__(self):
        self.hits = {}
        self.head_at = {}

    async def serve(self, port, ready):
        """Serves until the process ends."""
        server = await asyncio.start_server(self.connection, "127.0.0.1", port, backlog=4096)
        ready.set()
        async with server:
            await server.serve_forever()

    async def connection(self, reader, writer):
        """One connection, kept alive."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                await self.answer(path, writer)
                if re.search(rb"(?im)^connection:\s*close\r$", head):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, path, writer):
        """One answer."""
        kind, _, rest = path.strip("/").partition("/")
        if kind == "seen":
            seen = [self.hits.get("/" + rest, 0), self.head_at.get("/" + rest)]
            return await send(writer, b"no-store", json.dumps(seen).encode())
        self.hits[path] = self.hits.get(path, 0) + 1
        if kind != "slow-body":
            await asyncio.sleep(1)
        # The clock is the machine's, so that the clients' process can reckon from it.
        self.head_at.setdefault(path, time.monotonic())
        if kind == "slow-head":
            await send(writer, b"max-age=3600", HEAD_BODY)
        elif kind == "slow-body":
            await send(writer, b"max-age=3600", DRIP_BODY, pieces=100, seconds=3)
        else:
            await send(writer, b"no-store", SMALL_BODY)


async def send(writer, cache_control, body, pieces=1, seconds=0):
    """Writes an answer, its body in pieces spread evenly over some seconds."""
    head = b"HTTP/1.1 200 OK\r\nCache-Control: %s\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % (cache_control, len(body)))
    began, size = time.monotonic(), len(body) // pieces
    for i in range(pieces):
        writer.write(body[i * size : (i + 1) * size if i + 1 < pieces else len(body)])
        await writer.drain()
        if seconds:
            await asyncio.sleep(began + (i + 1) * seconds / pieces - time.monotonic())


def run_origin(port, ready):
    """The origin's process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(Origin().serve(port, ready))


# ---- the clients: another process ----


class Client:
    """One connection and what came on it."""

    def __init__(self, port, path, body):
        self.path, self.body = path, body
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setblocking(False)
        self.raw = bytearray()
        self.sent = self.first = self.first_body = self.done = self.error = None
        self.head_end = self.length = None

    def ask(self):
        """Sends the request."""
        host = "%s:%d" % self.socket.getpeername()
        self.socket.send(f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        self.sent = time.monotonic()

    def readable(self, now):
        """Takes what has come. `now` is when the kernel said so. True at the end of the answer."""
        try:
            # Little at first, for the same reason as in run_clients.
            piece = self.socket.recv(512 if self.first is None else 65_536)
        except BlockingIOError:
            return False
        except OSError as error:
            return self.finish(now, f"{type(error).__name__}")
        if not piece:
            return self.finish(now, None)
        self.first = self.first or now
        self.raw += piece
        if self.head_end is None and (end := self.raw.find(b"\r\n\r\n")) >= 0:
            self.head_end = end + 4
            length = re.search(rb"(?im)^content-length:\s*(\d+)\r$", self.raw[: self.head_end])
            self.length = int(length[1]) if length else None
        if self.head_end is not None and len(self.raw) > self.head_end:
            self.first_body = self.first_body or now
            if self.length is not None and len(self.raw) >= self.head_end + self.length:
                return self.finish(now, None)
        return False

    def finish(self, now, error):
        """Ends it, and checks every byte of the body."""
        self.done, self.error = now, error
        self.socket.close()
        if error is None:
            self.error = self.check()
        self.raw = None
        return True

    def check(self):
        """What is wrong with the answer, if anything."""
        if self.head_end is None:
            return "no answer"
        head, body = bytes(self.raw[: self.head_end]), bytes(self.raw[self.head_end :])
        if head.split(b" ", 2)[1] != b"200":
            return head.split(b"\r\n", 1)[0].decode("latin-1")
        if re.search(rb"(?im)^transfer-encoding:\s*chunked", head):
            try:
                body = common.unchunk(body)
            except ValueError:
                return "cut"
        return None if body == self.body else "wrong or cut body"


def run_clients(port, path, body, count, results):
    """The clients' process: all connect, all ask at once, and every byte is timed and checked.

    One epoll loop, not asyncio: at 500 clients the scheduling of asyncio would be a good part of what is measured.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    clients = [Client(port, path, body) for _ in range(count)]
    poll = select.epoll()
    open_now = {c.socket.fileno(): c for c in clients}
    time.sleep(0.2)
    for client in clients:
        client.ask()
    for number in open_now:
        poll.register(number, select.EPOLLIN)
    end = time.monotonic() + DEADLINE
    while open_now and time.monotonic() < end:
        ready = [open_now[number] for number, _ in poll.poll(1)]
        now = time.monotonic()
        # First bytes before all else, then a few bodies, then look again: so a first byte is noted within about a
        # millisecond of its coming, however much there is to copy.
        for client in [c for c in ready if c.first is None] or ready[:BODIES_AT_ONCE]:
            number = client.socket.fileno()
            if client.readable(now):
                # Closing has taken it out of the epoll set.
                del open_now[number]
    for client in open_now.values():
        client.finish(time.monotonic(), f"not done after {DEADLINE} s")
    results.put([(c.sent, c.first, c.first_body, c.done, c.error) for c in clients])


# ---- the measurement ----


def scene(server, origin_port, path, body, clients):
    """One crowd on one object: what it got and when, and what the origin saw."""
    before, _ = seen(origin_port, path)
    results = multiprocessing.Queue()
    crowd = multiprocessing.Process(target=run_clients, args=(server.port, path, body, clients, results))
    crowd.start()
    try:
        rows = results.get(timeout=DEADLINE + 30)
    finally:
        crowd.terminate()
        crowd.join()
    firsts = sorted(first for _, first, _, _, _ in rows if first is not None)
    after, head_at = seen(origin_port, path)
    # Only where one head served everybody is there a time to reckon from.
    collapsed = after - before == 1 and firsts
    errors = {}
    for row in rows:
        if row[4]:
            errors[row[4]] = errors.get(row[4], 0) + 1
    return {
        "clients": clients,
        "origin_requests": after - before,
        "first_byte_ms": spread(first - sent for sent, first, _, _, _ in rows if first is not None),
        "first_body_byte_ms": spread(body - sent for sent, _, body, _, _ in rows if body is not None),
        "leader_to_last_ms": (firsts[-1] - firsts[0]) * 1000 if firsts else None,
        "head_to_last_ms": (firsts[-1] - head_at) * 1000 if collapsed else None,
        "total_ms": (max(r[3] for r in rows) - min(r[0] for r in rows)) * 1000,
        "errors": errors,
    }


def spread(seconds):
    """Least, median, 99th percentile and most, in ms."""
    ms = sorted(s * 1000 for s in seconds)
    if not ms:
        return None
    at = lambda q: ms[min(len(ms) - 1, int(q * len(ms)))]
    return {"min": ms[0], "p50": at(0.5), "p99": at(0.99), "max": ms[-1]}


def seen(origin_port, path):
    """How often the origin was asked for a path, and when it wrote its first head."""
    return json.loads(common.get(origin_port, "/seen" + path)[2])


def start_nginx(directory, port, origin_port):
    """A caching nginx with its lock on, and the lock's times as they come (5 s)."""
    http = f"""
    access_log off;
    proxy_cache_path {directory}/nginx-cache levels=1:2 keys_zone=all:16m use_temp_path=off;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://127.0.0.1:{origin_port};
            proxy_cache all;
            proxy_cache_lock on;
        }}
    }}"""
    return common.nginx(directory, "nginx", port, http, workers=2)


STARTERS = {"nginx": start_nginx, "forebay": common.forebay}


def scenes(clients):
    """Name, path, body and number of clients of each scene, in order."""
    return [
        ("slow-head", "/slow-head/", HEAD_BODY, clients),
        ("warm", "/slow-head/", HEAD_BODY, clients),
        ("slow-body", "/slow-body/", DRIP_BODY, clients),
        ("uncacheable", "/uncacheable/", SMALL_BODY, 50),
        ("uncacheable-2", "/uncacheable/", SMALL_BODY, 50),
    ]


def show(server, name, result):
    """A row of the table."""
    first, body = result["first_byte_ms"], result["first_body_byte_ms"]
    numbers = lambda s: [f"{s[k]:,.0f}" for k in ("min", "p50", "p99", "max")] if s else ["-"] * 4
    ms = lambda value: f"{value:,.1f}" if value is not None else "-"
    row = [f"{server} {name}", result["clients"], result["origin_requests"], *numbers(first)]
    row += [f"{body['max']:,.0f}" if body else "-", ms(result["leader_to_last_ms"]), ms(result["head_to_last_ms"])]
    trouble = ", ".join(f"{n}× {what}" for what, n in result["errors"].items())
    return row + [f"{result['total_ms']:,.0f}", trouble or "none"]


def main():
    """Starts origin and servers, plays the scenes, reports."""
    parser = common.options(__doc__, STARTERS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--clients", type=int, default=500, help="in the cacheable scenes")
    args = parser.parse_args()
    common.stop_cleanly()
    names = args.only or list(STARTERS)
    if "forebay" in names:
        common.choose_forebay(args.binary)

    machine, results, rows, servers = common.machine(), [], [], []
    origin_port, ready = common.free_port(), multiprocessing.Event()
    origin = multiprocessing.Process(target=run_origin, args=(origin_port, ready), daemon=True)
    origin.start()
    with tempfile.TemporaryDirectory(prefix="forebay-collapse-") as directory:
        try:
            if not ready.wait(10):
                sys.exit("the origin does not start")
            for name in names:
                servers.append(STARTERS[name](directory, common.free_port(), origin_port))
                servers[-1].wait_ready()
            for number in range(args.rounds):
                for server in servers:
                    for name, path, body, clients in scenes(args.clients):
                        result = scene(server, origin_port, f"{path}{server.name}-{number}", body, clients)
                        results.append({"round": number + 1, "server": server.name, "scene": name} | result)
                        rows.append(show(server.name, name, result))
                        print(f"round {number + 1} {server.name} {name}: {result['total_ms']:,.0f} ms", flush=True)
        finally:
            for server in reversed(servers):
                server.stop()
            origin.terminate()
            origin.join()

    print("\nFirst byte of each answer after its request, in ms:\n")
    head = ["scene", "clients", "at origin", "min", "p50", "p99", "max", "body max", "leader–last", "head–last"]
    common.table(head + ["total", "errors"], rows)
    if args.json:
        data = {"bench": "collapse", "machine": machine, "results": results}
        Path(args.json).write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
