#!/usr/bin/env python3
"""TLS and HTTP/2: Forebay beside nginx and HAProxy, hits and handshakes in CPU, idle connections in memory.

    python3 benches/tls.py [--rounds 3] [--seconds 3] [--only NAME]... [--binary PATH] [--json FILE]

All show one ECDSA P-256 certificate, speak TLS 1.3 and HTTP/2, and answer from their caches. See README.md.
"""

import json
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

SIZES = {"small": 1000, "large": 1 << 20}
IDLE, REST = 1000, 6
ROWS = (
    ("full handshake and 1 KB: CPU µs", "handshake_us", "{:.0f}"),
    ("1 KB, HTTP/1.1, hit: CPU µs/request", "small_us", "{:.1f}"),
    ("1 MB, HTTP/1.1, hit: CPU µs/request", "large_us", "{:.0f}"),
    ("1 KB, HTTP/2, 4 connections of 32 streams, hit: CPU µs/request", "h2_us", "{:.2f}"),
    ("1 MB, HTTP/2, 4 connections of 8 streams, hit: CPU µs/request", "h2_large_us", "{:.0f}"),
    ("an idle connection, HTTP/1.1: bytes", "idle_bytes", "{:,.0f}"),
    ("an idle connection, HTTP/2: bytes", "idle_h2_bytes", "{:,.0f}"),
)


def certificate(directory):
    """A certificate that signs itself, its key, and both in one file."""
    chain, key, both = (Path(directory) / name for name in ("chain.pem", "key.pem", "both.pem"))
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [common.program("openssl"), *new.split(), *names, "-keyout", key, "-out", chain]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(chain.read_text() + key.read_text())
    return chain, key, both


def origin(directory):
    """nginx with one file of each size."""
    root = Path(directory) / "files"
    root.mkdir()
    for name, size in SIZES.items():
        (root / name).write_bytes((name.encode() * size)[:size])
    port = common.free_port()
    http = f"access_log off; server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; expires 1h; }}"
    return common.nginx(directory, "origin", port, http)


def nginx(directory, port, origin_port, pair):
    """nginx with its cache on disk."""
    chain, key, _ = pair
    shown = f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"
    extra = f"{shown} http2_max_requests 1000000000;"
    return common.caching_nginx(directory, port, origin_port, extra=extra, speaks=" ssl http2")


def haproxy(directory, port, origin_port, pair):
    """HAProxy with its cache in memory."""
    return common.haproxy(directory, port, origin_port, 64, 4 << 20, f" ssl crt {pair[2]} alpn h2,http/1.1")


def forebay(directory, port, origin_port, pair):
    """Forebay with its memory tier. What it listens on in the clear is of no use here."""
    shown = ("--tls-listen", f"127.0.0.1:{port}", "--cert", pair[0], "--key", pair[1])
    server = common.forebay(directory, common.free_port(), origin_port, *shown)
    server.port = port
    return server


STARTERS = {"nginx": nginx, "haproxy": haproxy, "forebay": forebay}


def wrk(port, path, seconds, *more):
    """Requests and trouble of one run of wrk."""
    command = [common.program("wrk"), "-t2", "-c64", f"-d{seconds}s", *more, f"https://localhost:{port}/{path}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        sys.exit(f"wrong answers from port {port}:\n{text}")
    return int(re.search(r"(\d+) requests in", text)[1])


def h2load(port, path, seconds, streams):
    """Requests of one run of h2load."""
    load = f"-t1 -c4 -m{streams} -D{seconds}"
    command = [common.program("h2load"), *load.split(), f"https://localhost:{port}/{path}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", text)
    if "h2" not in text or done is None or done[2] != "0" or done[3] != "0":
        sys.exit(f"trouble with port {port}:\n{text}")
    return int(done[1])


def each(server, load, *args):
    """CPU of a request in µs."""
    before = server.cpu_seconds()
    requests = load(server.port, *args)
    return (server.cpu_seconds() - before) * 1e6 / requests


# The preface, empty SETTINGS, and GET of /small for localhost (RFC 7541 §C: indexed and literal fields).
H2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
BLOCK = b"\x82\x87\x04\x06/small\x41\x09localhost"
H2 += len(BLOCK).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + BLOCK
H1 = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"


def pss(server):
    """Memory of all its processes, shared parts divided."""
    total = 0
    for pid in server.pids():
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) * 1024
    return total


def idle(server, protocol, ask):
    """Growth of memory for each connection that had one answer and then idles."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])

    def connection():
        client = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost")
        if client.selected_alpn_protocol() != protocol:
            sys.exit(f"{server.name} does not speak {protocol}")
        client.sendall(ask)
        got = b""
        while b"smallsmall" not in got or len(got) < SIZES["small"]:
            got += client.recv(65536)
        return client

    for client in [connection() for _ in range(50)]:
        client.close()
    time.sleep(1)
    before = pss(server)
    clients = [connection() for _ in range(IDLE)]
    time.sleep(REST)
    grown = (pss(server) - before) / IDLE
    for client in clients:
        client.close()
    return grown


def measure(server, seconds):
    """One round of one server."""
    return {
        "handshake_us": each(server, wrk, "small", seconds, "-H", "Connection: close"),
        "small_us": each(server, wrk, "small", seconds),
        "large_us": each(server, wrk, "large", seconds),
        "h2_us": each(server, h2load, "small", seconds, 32),
        "h2_large_us": each(server, h2load, "large", seconds, 8),
    }


def report(results):
    """Prints a table as Markdown has it; ratios are to the best peer of the row."""
    peers = [name for name in results if name != "forebay"]
    print("\n| | " + " | ".join([*results, "forebay / best peer"]) + " |")
    print("| --- |" + " ---: |" * (len(results) + 1))
    for title, key, form in ROWS:
        cells = [form.format(r[key]) for r in results.values()]
        best = min((results[name][key] for name in peers), default=0)
        cells.append(f"{results['forebay'][key] / best:.2f}" if best and "forebay" in results else "–")
        print(f"| {title} | " + " | ".join(cells) + " |")


def main():
    """Starts the servers, measures round by round, reports."""
    parser = common.options(__doc__, STARTERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    args = parser.parse_args()
    if "forebay" in (args.only or STARTERS):
        common.choose_forebay(args.binary)
    common.stop_cleanly()
    machine = common.machine()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        try:
            pair, source = certificate(directory), origin(directory).wait_ready()
            servers = []
            for name in args.only or STARTERS:
                servers.append(STARTERS[name](directory, common.free_port(), source.port, pair).wait_ready())
            rounds = {server.name: [] for server in servers}
            for server in servers:
                for path in SIZES:
                    for _ in range(2):
                        wrk(server.port, path, 1)
            for _ in range(args.rounds):
                for server in servers:
                    rounds[server.name].append(measure(server, args.seconds))
            results = {}
            for server in servers:
                medians = {key: common.median(r[key] for r in rounds[server.name]) for key in rounds[server.name][0]}
                medians["idle_bytes"] = idle(server, "http/1.1", H1)
                medians["idle_h2_bytes"] = idle(server, "h2", H2)
                results[server.name] = medians
            report(results)
            if args.json:
                Path(args.json).write_text(json.dumps({"bench": "tls", "machine": machine, "results": results}, indent=1))
        finally:
            common.stop_all()


if __name__ == "__main__":
    main()
