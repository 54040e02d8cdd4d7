#!/usr/bin/env python3
"""Floods of HTTP/2, one kind after the other, beside a stranger who asks for what is stored: his p99, and memory.

    python3 benches/floods.py [--seconds 4] [--rate 10] [--only NAME]... [--binary PATH] [--json FILE]

Four processes flood, each with so many connections a second (--rate), so that the same work is thrown at every server.
See README.md.
"""

import json
import multiprocessing
import os
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common
import tls

FLOODERS, MOST_OPEN = 4, 100
ASKED_A_SECOND = 200


def frame(kind, flags, stream, payload=b""):
    """A frame (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value, indexed=False):
    """A field, put into the table or not (RFC 7541 §6.2)."""
    head = b"\x40" if indexed else b"\x00"
    return head + length(name) + name + length(value) + value


def length(text, most=127):
    """The length of a string that is not coded (RFC 7541 §5.1)."""
    if len(text) < most:
        return bytes([len(text)])
    rest, out = len(text) - most, [most]
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes([*out, rest])


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HELLO = PREFACE + frame(4, 0, 0)
SMALL = b"\x82\x87\x04\x06/small\x41\x09localhost"
LARGE = b"\x82\x87\x04\x06/large\x41\x09localhost"
POST = b"\x83\x87\x04\x06/small\x41\x09localhost"
ODD = range(1, 2001, 2)


def ask(stream, block=SMALL, ends=True):
    """A request."""
    return frame(1, 5 if ends else 4, stream, block)


def each(streams, *frames):
    """Frames for each of many streams."""
    return b"".join(make(stream) for stream in streams for make in frames)


KINDS = {
    "nothing": None,
    "requests that are reset": HELLO + each(ODD, ask, lambda s: frame(3, 0, s, (8).to_bytes(4, "big"))),
    "requests that have to be reset": HELLO + each(ODD, ask, lambda s: frame(8, 0, s, bytes(4))),
    "CONTINUATION": HELLO + frame(1, 0, 1, SMALL) + frame(9, 0, 1, literal(b"x", b"y" * 8000)) * 2000,
    "PING": HELLO + frame(6, 0, 0, bytes(8)) * 50000,
    "SETTINGS": HELLO + frame(4, 0, 0, b"\0\3\0\0\0\x64") * 50000,
    "PRIORITY": HELLO + each(range(1, 100001, 2), lambda s: frame(2, 0, s, bytes(4) + b"\x10")),
    "empty DATA": HELLO + ask(1, POST, False) + frame(0, 0, 1) * 50000,
    "windows of one byte": HELLO + frame(4, 0, 0, b"\0\4\0\0\0\0") + ask(1, LARGE) + frame(8, 0, 1, b"\0\0\0\1") * 50000,
    "fields that unfold": HELLO
    + each(ODD, lambda s: ask(s, SMALL + literal(b"x", b"y" * 4000, True) + b"\xbe" * 16000)),
    "crumbs of cookies": HELLO + each(ODD, lambda s: ask(s, SMALL + literal(b"cookie", b"a=b", True) + b"\xbe" * 16000)),
    "closed windows": HELLO + frame(4, 0, 0, b"\0\4\0\0\0\0") + each(range(1, 200, 2), lambda s: ask(s, LARGE)),
    "handshakes alone": b"",
}
# Those whose connections stay open.
HELD = {"closed windows"}


def context():
    """A client's side of TLS that asks for HTTP/2."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2"])
    return made


def flood(port, payload, held, rate, stop):
    """Connects so often a second, and sends until it is ended.

    Whoever floods has computers of his own. Here he gets what server and stranger leave of the cores: otherwise it would
    be measured how the kernel shares them.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    by, open_ones, due = context(), [], time.monotonic()
    while not stop.is_set():
        due += 1 / rate
        time.sleep(max(0, due - time.monotonic()))
        try:
            client = by.wrap_socket(socket.create_connection(("127.0.0.1", port), 2))
            client.settimeout(0.2)
            for at in range(0, len(payload), 1 << 16):
                client.sendall(payload[at : at + (1 << 16)])
            while client.recv(1 << 16):
                pass
        except OSError:
            pass
        else:
            client.close()
            continue
        if held:
            open_ones.append(client)
            for old in open_ones[:-MOST_OPEN]:
                old.close()
            del open_ones[:-MOST_OPEN]
        else:
            client.close()


def stranger(port, seconds):
    """Latencies in ms of requests that are due at a steady rate, by HTTP/1.1 on one connection; from when each was due."""
    by = context()
    by.set_alpn_protocols(["http/1.1"])
    client = by.wrap_socket(socket.create_connection(("127.0.0.1", port)))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took, begin = [], time.monotonic()
    for nth in range(seconds * ASKED_A_SECOND):
        due = begin + nth / ASKED_A_SECOND
        time.sleep(max(0, due - time.monotonic()))
        client.sendall(tls.H1)
        got = b""
        while not got.endswith(b"small") or len(got) < tls.SIZES["small"]:
            more = client.recv(65536)
            if not more:
                sys.exit("the stranger was let go")
            got += more
        took.append((time.monotonic() - due) * 1000)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def measure(server, kind, args):
    """The stranger's latencies and the server's growth while it is flooded."""
    payload, before, cpu = KINDS[kind], tls.pss(server), server.cpu_seconds()
    stop = multiprocessing.Event()
    flooders = []
    if payload is not None:
        what = (server.port, payload, kind in HELD, args.rate, stop)
        flooders = [multiprocessing.Process(target=flood, args=what, daemon=True) for _ in range(FLOODERS)]
    for flooder in flooders:
        flooder.start()
    time.sleep(0.5)
    p50, p99 = stranger(server.port, args.seconds)
    grown, cpu = tls.pss(server) - before, server.cpu_seconds() - cpu
    stop.set()
    for flooder in flooders:
        flooder.join(5)
        if flooder.is_alive():
            flooder.kill()
    time.sleep(1)
    return {"p50_ms": p50, "p99_ms": p99, "mib_grown": grown / 2**20, "cpu_seconds": cpu}


def report(results):
    """Prints a table as Markdown has it: p99, its ratio to that without a flood, growth, CPU."""
    print("\n| flood | " + " | ".join(f"{name}: p99 ms, of quiet, MiB, CPU s" for name in results) + " |")
    print("| --- |" + " ---: |" * len(results))
    for kind in KINDS:
        cells = []
        for figures in results.values():
            own, quiet = figures[kind], figures["nothing"]["p99_ms"]
            cells.append(
                f"{own['p99_ms']:.2f}, {own['p99_ms'] / quiet:.2f}, {own['mib_grown']:.1f}, {own['cpu_seconds']:.2f}"
            )
        print(f"| {kind} | " + " | ".join(cells) + " |")


def main():
    """Starts the servers, floods each, reports."""
    parser = common.options(__doc__, tls.STARTERS)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rate", type=float, default=10)
    args = parser.parse_args()
    if "forebay" in (args.only or tls.STARTERS):
        common.choose_forebay(args.binary)
    common.stop_cleanly()
    machine, results = common.machine(), {}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        try:
            pair, source = tls.certificate(directory), tls.origin(directory).wait_ready()
            for name in args.only or tls.STARTERS:
                server = tls.STARTERS[name](directory, common.free_port(), source.port, pair).wait_ready()
                for path in tls.SIZES:
                    tls.wrk(server.port, path, 1)
                results[name] = {kind: measure(server, kind, args) for kind in KINDS}
                server.stop()
            report(results)
            if args.json:
                Path(args.json).write_text(json.dumps({"bench": "floods", "machine": machine, "results": results}, indent=1))
        finally:
            common.stop_all()


if __name__ == "__main__":
    main()
