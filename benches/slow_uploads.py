#!/usr/bin/env python3
"""A thousand slow uploads at once, taken in first and passed on as they come: connections to the origin, digests, and memory.

    python3 benches/slow_uploads.py [--clients 1000] [--kilobytes 20] [--rate 1000] [--only buffered|streamed]...
                                    [--binary PATH] [--json FILE]

Four processes send; the origin is a process of its own, which counts its open connections and holds every content against
the digest that its client has announced. A stranger asks for what is stored meanwhile. See README.md.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

SENDERS, ASKED_A_SECOND = 4, 200
SAMPLES_A_SECOND = 10


class Origin:
    """Takes uploads, and counts."""

    def __init__(self):
        self.open, self.most, self.right, self.wrong, self.broken = 0, 0, 0, 0, 0
        self.digests = set()

    async def serve(self, reader, writer):
        """One connection."""
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            while await self.answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def answer(self, reader, writer):
        """One request; true if another may follow."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in rest if field)}
        if line.startswith("GET"):
            # The stranger's page leaves no connection that would be counted.
            writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 1024\r\nConnection: close\r\n\r\n")
            writer.write(b"x" * 1024)
            await writer.drain()
            return False
        try:
            content = await self.content(reader, fields)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.broken += 1
            raise
        if hashlib.sha256(content).hexdigest() == fields.get("x-digest"):
            self.right += 1
            self.digests.add(fields["x-digest"])
        else:
            self.wrong += 1
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        return True

    async def content(self, reader, fields):
        """Takes a content out of its framing."""
        if "content-length" in fields:
            return await reader.readexactly(int(fields["content-length"]))
        content = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            content += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return content

    async def tell(self, _, writer):
        """All counts, to whoever connects; the most connections are counted anew from then on."""
        counts = {name: value for name, value in vars(self).items() if name != "digests"}
        writer.write(json.dumps({**counts, "distinct": len(self.digests)}).encode())
        self.most = self.open
        await writer.drain()
        writer.close()


def origin(port, told):
    """The process of the origin."""

    async def run():
        it = Origin()
        await asyncio.start_server(it.serve, "127.0.0.1", port, backlog=4096)
        await asyncio.start_server(it.tell, "127.0.0.1", told)
        await asyncio.Event().wait()

    # Ended in the middle, without a word.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(run())


def counts(told):
    """What the origin has counted."""
    with socket.create_connection(("127.0.0.1", told), 10) as s:
        text = b""
        while piece := s.recv(65536):
            text += piece
    return json.loads(text)


async def upload(port, number, options):
    """One client: what it was answered, when its last byte had left, and how long after that the answer came."""
    content = hashlib.shake_256(str(number).encode()).digest(options.kilobytes * 1000)
    await asyncio.sleep(number % 1000 / 1000)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    chunked = number % 2 == 1
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
    digest = hashlib.sha256(content).hexdigest()
    writer.write(f"POST /{number} HTTP/1.1\r\nHost: bench\r\nX-Digest: {digest}\r\n{framing}\r\n\r\n".encode())
    begun = time.monotonic()
    for at in range(0, len(content), options.rate):
        await asyncio.sleep(begun + at / options.rate + 1 - time.monotonic())
        piece = content[at : at + options.rate]
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    sent = time.monotonic()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
    writer.close()
    return int(head.split()[1]), sent, time.monotonic() - sent


def send(port, numbers, options, results):
    """A process with so many clients."""

    async def run():
        clients = [upload(port, number, options) for number in numbers]
        return await asyncio.gather(*clients, return_exceptions=True)

    ended = asyncio.run(run())
    results.put([[0, 0, 0] if isinstance(one, BaseException) else one for one in ended])


def ask(port, until, results):
    """A stranger who asks for what is stored, on one connection: his times in ms."""
    took = []
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        while time.monotonic() < until:
            begun = time.monotonic()
            s.sendall(b"GET /page HTTP/1.1\r\nHost: bench\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 1024:
                answer += s.recv(65536)
            took.append((time.monotonic() - begun) * 1000)
            time.sleep(max(0, begun + 1 / ASKED_A_SECOND - time.monotonic()))
    results.put(sorted(took))


def memory(server):
    """RssAnon in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


def measure(place, kind, options):
    """All clients at one node."""
    port, behind, told = common.free_port(), common.free_port(), common.free_port()
    far = multiprocessing.Process(target=origin, args=(behind, told), daemon=True)
    far.start()
    config = place / f"{kind}.toml"
    config.write_text(f"""
[[listeners]]
address = "127.0.0.1:{port}"
[client]
max_buffered_body = "{'1GiB' if kind == 'buffered' else '0B'}"
[log]
access = "off"
[sites.bench]
hosts = ["*"]
origins = ["http://127.0.0.1:{behind}"]
""")
    node = common.Server(kind, [common.forebay_binary, "serve", "--config", config], port, place).wait_ready()
    try:
        common.get(port, "/page")
        seconds = options.kilobytes * 1000 / options.rate + 2
        quiet, quiet_times = memory(node), strangers(port, 3)
        results, times = multiprocessing.Queue(), multiprocessing.Queue()
        senders = [
            multiprocessing.Process(target=send, args=(port, range(nth, options.clients, SENDERS), options, results), daemon=True)
            for nth in range(SENDERS)
        ]
        stranger = multiprocessing.Process(target=ask, args=(port, time.monotonic() + seconds, times), daemon=True)
        counts(told)
        begun = time.monotonic()
        for process in [*senders, stranger]:
            process.start()
        samples = []
        while any(process.is_alive() for process in senders) and results.qsize() < SENDERS:
            seen = counts(told)
            samples.append((time.monotonic(), seen["most"], seen["right"], memory(node)))
            if samples[-1][0] - begun > seconds + 180:
                raise RuntimeError("it takes too long")
            time.sleep(1 / SAMPLES_A_SECOND)
        ended = [one for _ in senders for one in results.get(timeout=10)]
        final = counts(told)
        answered = [one for one in ended if one[0] == 201]
        first_sent = min((one[1] for one in ended if one[0]), default=0)
        waited = sorted(one[2] * 1000 for one in answered)
        return {
            "clients": options.clients,
            "answered 201": len(answered),
            "answered otherwise": len(ended) - len(answered),
            "digests right at the origin": final["right"],
            "digests wrong": final["wrong"],
            "broken off at the origin": final["broken"],
            "most connections before the first content was whole": max(
                (most for at, most, _, _ in samples if at < first_sent), default=0
            ),
            "most connections in all": max([most for _, most, _, _ in samples] + [final["most"]]),
            "answer after the last byte, p50 ms": percentile(waited, 50),
            "answer after the last byte, p99 ms": percentile(waited, 99),
            "stranger's hit p99 in quiet, ms": percentile(quiet_times, 99),
            "stranger's hit p99 meanwhile, ms": percentile(times.get(timeout=60), 99),
            "MiB grown": max(grown for *_, grown in samples) - quiet,
        }
    finally:
        node.stop()
        far.terminate()
        far.join()


def strangers(port, seconds):
    """The stranger alone."""
    times = multiprocessing.Queue()
    alone = multiprocessing.Process(target=ask, args=(port, time.monotonic() + seconds, times), daemon=True)
    alone.start()
    took = times.get(timeout=seconds + 30)
    alone.join()
    return took


def percentile(sorted_values, percent):
    """Of values in order; None of nothing."""
    return sorted_values[min(len(sorted_values) * percent // 100, len(sorted_values) - 1)] if sorted_values else None


def main():
    """Measures, and tells."""
    kinds = ["buffered", "streamed"]
    parser = common.options(__doc__, kinds)
    parser.add_argument("--clients", type=int, default=1000, metavar="N", help="how many at once")
    parser.add_argument("--kilobytes", type=int, default=20, metavar="KB", help="each content (of 1,000 bytes)")
    parser.add_argument("--rate", type=int, default=1000, metavar="BYTES", help="so many a second, as one piece")
    options = parser.parse_args()
    common.stop_cleanly()
    common.choose_forebay(options.binary)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16384)), hard))
    figures = {"machine": common.machine()}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        for kind in options.only or kinds:
            figures[kind] = measure(Path(place), kind, options)
    shown = [kind for kind in kinds if kind in figures]
    said = lambda value: f"{value:.2f}" if isinstance(value, float) else value
    rows = [[name, *(said(figures[kind][name]) for kind in shown)] for name in figures[shown[0]]]
    common.table(["", *shown], rows)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))
    right = figures.get("buffered")
    if right and (right["digests right at the origin"] != options.clients
                  or right["most connections before the first content was whole"]):
        sys.exit("a slow upload held a connection, or did not come as it was sent")


if __name__ == "__main__":
    main()
