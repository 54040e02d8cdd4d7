#!/usr/bin/env python3
"""Ranges: Forebay beside nginx with its slice module, hits in CPU per request, cold ones in time and origin bytes.

    python3 benches/ranges.py [--rounds 5] [--seconds 3] [--samples 10] [--only NAME]... [--binary PATH] [--json FILE]

Both front the same nginx origin and keep 1 MiB at a time. See README.md for how to read the figures.
"""

import json
import os
import selectors
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

MIB = 1 << 20
SIZE = 1024 * MIB
LENGTH = 64 << 10
PARALLEL = 8
HIT = 512 * MIB + 300_000  # amid a block of 1 MiB
SCRIPT = f'wrk.headers["Range"] = "bytes={HIT}-{HIT + LENGTH - 1}"\n'


def origin(directory):
    """nginx with a sparse file whose blocks differ, and a log of the bytes that it has sent."""
    root = Path(directory) / "files"
    root.mkdir()
    with open(root / "file.bin", "wb") as file:
        file.truncate(SIZE)
        for block in range(SIZE // MIB):
            for at in (0, 300_000, 300_000 + LENGTH - 16):
                os.pwrite(file.fileno(), f"block {block:10}".encode(), block * MIB + at)
    port = common.free_port()
    log = Path(directory) / "origin-bytes"
    http = f"""
    log_format bytes '$body_bytes_sent';
    access_log {log} bytes;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; expires 1h; }}"""
    return common.nginx(directory, "origin", port, http), root, log


def nginx_slice(directory, port, origin_port):
    """nginx that caches slices of 1 MiB."""
    http = f"""
    access_log off;
    proxy_cache_path {directory}/slices levels=1:2 keys_zone=hits:64m max_size=8g use_temp_path=off;
    upstream origin {{ server 127.0.0.1:{origin_port}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            slice 1m;
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Range $slice_range;
            proxy_cache hits;
            proxy_cache_key $uri$is_args$args$slice_range;
            proxy_cache_valid 200 206 1h;
        }}
    }}"""
    return common.nginx(directory, "nginx-slice", port, http, workers=2)


def forebay_disk(directory, port, origin_port):
    """Forebay with a cache directory; most of its hits are in memory all the same."""
    cache = ("--cache-dir", Path(directory) / "forebay-cache")
    return common.forebay(directory, port, origin_port, *cache, name="forebay-disk")


STARTERS = {"nginx-slice": nginx_slice, "forebay": common.forebay, "forebay-disk": forebay_disk}


def sent(log):
    """Bytes of bodies that the origin has sent, once it has added none for a while: it logs at an exchange's end."""
    last, since = -1, 0.0
    while True:
        total = sum(map(int, log.read_text().split()))
        now = time.monotonic()
        if total != last:
            last, since = total, now
        elif now - since > 0.15:
            return total
        time.sleep(0.01)


def ask(port, path, parts, file):
    """Asks for all parts at once, each over a connection of its own that was there before. Seconds until the last byte
    of the last; every byte is compared with the file."""
    clients = {}
    with selectors.DefaultSelector() as ready:
        for first, length in parts:
            client = socket.create_connection(("127.0.0.1", port), 30)
            clients[client] = (first, length, bytearray())
            ready.register(client, selectors.EVENT_READ)
        began = time.monotonic()
        for client, (first, length, _) in clients.items():
            field = f"Range: bytes={first}-{first + length - 1}"
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}\r\n\r\n".encode())
        while ready.get_map():
            events = ready.select(30)
            if not events:
                sys.exit(f"nothing comes from port {port}")
            for key, _ in events:
                first, length, got = clients[key.fileobj]
                piece = key.fileobj.recv(1 << 18)
                got += piece
                head = got.find(b"\r\n\r\n")
                if not piece or (head >= 0 and len(got) >= head + 4 + length):
                    ready.unregister(key.fileobj)
        took = time.monotonic() - began
    for client, (first, length, got) in clients.items():
        client.close()
        head, _, body = bytes(got).partition(b"\r\n\r\n")
        if head.split()[1] != b"206" or body != os.pread(file, length, first):
            sys.exit(f"a wrong answer from port {port}:\n{head.decode('latin-1')}")
    return took


def measure_hit(server, log, script, file, seconds):
    """One run of wrk at one part amid a block that is stored."""
    ask(server.port, "/file.bin", [(HIT, LENGTH)], file)
    before, cpu = sent(log), server.cpu_seconds()
    result = common.wrk(server.port, "/file.bin", seconds, script)
    cpu = server.cpu_seconds() - cpu
    if asked := sent(log) - before:
        result["trouble"].append(f"{asked} bytes came from the origin: not all were hits")
    if result["trouble"]:
        print(f"  {server.name}: {'; '.join(result['trouble'])}", file=sys.stderr)
    return {"hit_us": cpu * 1e6 / result["requests"], "hit_rps": result["rps"], "hit_p99_ms": result["p99_ms"]}


class Cold:
    """Names under which the file has never been asked for."""

    def __init__(self, root):
        self.root, self.names = root, 0

    def path(self):
        """A new one."""
        self.names += 1
        os.link(self.root / "file.bin", self.root / f"{self.names}.bin")
        return f"/{self.names}.bin"


def measure_cold(server, log, cold, parts, file, samples):
    """Median of the seconds that these parts of a file take that is not stored, origin bytes and CPU for each time."""
    times, before, cpu = [], sent(log), server.cpu_seconds()
    for _ in range(samples):
        times.append(ask(server.port, cold.path(), parts, file))
    bytes_sent = (sent(log) - before) / samples
    return common.median(times) * 1000, bytes_sent, (server.cpu_seconds() - cpu) * 1000 / samples


def measure(server, log, cold, script, file, args):
    """One round of one server."""
    out = measure_hit(server, log, script, file, args.seconds)
    eight = [(n * SIZE // PARALLEL + 300_000, LENGTH) for n in range(PARALLEL)]
    for name, parts in (("eight", eight), ("byte", [(HIT, 1)])):
        took, bytes_sent, cpu = measure_cold(server, log, cold, parts, file, args.samples)
        out |= {f"{name}_ms": took, f"{name}_bytes": bytes_sent, f"{name}_cpu_ms": cpu}
    return out


def summarise(rounds):
    """The median of each figure over the rounds of one server, and the range of CPU."""
    out = {key: common.median(r[key] for r in rounds) for key in rounds[0]}
    return out | {"hit_us_range": [min(r["hit_us"] for r in rounds), max(r["hit_us"] for r in rounds)]}


def report(results):
    """Prints a table as Markdown has it; ratios are to nginx in the same run."""
    rows = (
        ("64 KB amid a block, hit: CPU µs/request", "hit_us", "{:.1f}"),
        ("the same: requests/s", "hit_rps", "{:,.0f}"),
        ("the same: p99 ms", "hit_p99_ms", "{:.2f}"),
        ("8 × 64 KB of 1 GB at once, cold: ms to the last byte", "eight_ms", "{:.1f}"),
        ("the same: CPU ms", "eight_cpu_ms", "{:.1f}"),
        ("the same: MiB of the origin", "eight_bytes", "{:.2f}"),
        ("1 byte of 1 GB, cold: ms", "byte_ms", "{:.2f}"),
        ("the same: CPU ms", "byte_cpu_ms", "{:.2f}"),
        ("the same: MiB of the origin", "byte_bytes", "{:.2f}"),
    )
    peer = results.get("nginx-slice")
    ours = [name for name in results if peer and name != "nginx-slice"]
    print("\n| | " + " | ".join([*results, *(f"{name} / nginx" for name in ours)]) + " |")
    print("| --- |" + " ---: |" * (len(results) + len(ours)))
    for title, key, form in rows:
        scale = MIB if key.endswith("_bytes") else 1
        cells = [form.format(r[key] / scale) for r in results.values()]
        cells += [f"{results[name][key] / peer[key]:.2f}" if peer[key] else "–" for name in ours]
        print(f"| {title} | " + " | ".join(cells) + " |")


def main():
    """Starts the servers, measures round by round, reports."""
    parser = common.options(__doc__, STARTERS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk")
    parser.add_argument("--samples", type=int, default=10, help="of each cold row in a round")
    parser.add_argument("--directory", default="/var/tmp", help="where caches are kept; on a real disk")
    args = parser.parse_args()
    common.stop_cleanly()
    names = args.only or list(STARTERS)
    common.program("wrk")
    if any(name.startswith("forebay") for name in names):
        common.choose_forebay(args.binary)

    machine = common.machine()
    rounds, servers = {name: [] for name in names}, []
    with tempfile.TemporaryDirectory(prefix="forebay-ranges-", dir=args.directory) as directory:
        file = None
        try:
            source, root, log = origin(directory)
            servers.append(source)
            source.wait_ready()
            file = os.open(root / "file.bin", os.O_RDONLY)
            script = Path(directory) / "range.lua"
            script.write_text(SCRIPT)
            cold = Cold(root)
            for name in names:
                servers.append(STARTERS[name](directory, common.free_port(), source.port))
                servers[-1].wait_ready()
            for number in range(args.rounds):
                for server in servers[1:]:
                    result = measure(server, log, cold, script, file, args)
                    rounds[server.name].append(result)
                    figures = f"{result['hit_us']:6.1f} µs {result['hit_rps']:9,.0f}/s, cold {result['eight_ms']:.1f} ms"
                    print(f"round {number + 1} {server.name:12} {figures}", flush=True)
        finally:
            for server in reversed(servers):
                server.stop()
            if file is not None:
                os.close(file)

    results = {name: summarise(r) for name, r in rounds.items()}
    report(results)
    if args.json:
        data = {"bench": "ranges", "seconds": args.seconds, "machine": machine, "median": results, "rounds": rounds}
        Path(args.json).write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
