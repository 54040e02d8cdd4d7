#!/usr/bin/env python3
"""Server CPU per request for a small hit: Forebay beside nginx (plain and tuned) and HAProxy.

    python3 benches/hit.py [--rounds 5] [--seconds 4] [--only NAME]... [--binary PATH] [--json FILE]

Each server fronts the same nginx origin, which serves a 1,024 byte file for an hour. Each is warmed, then wrk runs
against one after the other, round by round. See README.md for how to read the figures.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

SIZE = 1024
PATH = "/object.bin"


def origin(directory):
    """nginx with one file, and an access log in which requests are counted."""
    root = Path(directory) / "files"
    root.mkdir()
    (root / PATH.strip("/")).write_bytes(bytes(i * 7 % 251 for i in range(SIZE)))
    port = common.free_port()
    log = Path(directory) / "origin-requests"
    http = f"""
    access_log {log};
    server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; expires 1h; }}"""
    return common.nginx(directory, "origin", port, http), log


def start_nginx_tuned(directory, port, origin_port):
    """nginx with what makes it fastest at small hits."""
    return common.caching_nginx(directory, port, origin_port, "nginx-tuned", extra=common.NGINX_TUNED)


STARTERS = {
    "nginx": common.caching_nginx,
    "nginx-tuned": start_nginx_tuned,
    "haproxy": common.haproxy,
    "forebay": common.forebay,
}


def warm(server, log, expected):
    """Makes the object a hit, and checks that hits are right and do not reach the origin."""
    for _ in range(20):
        status, head, body = common.get(server.port, PATH)
        if status != 200 or body != expected:
            sys.exit(f"{server.name} gave a wrong answer:\n{head}")
    before = count(log)
    for _ in range(50):
        common.get(server.port, PATH)
    if count(log) != before:
        sys.exit(f"{server.name} does not hit: {count(log) - before} of 50 requests reached the origin")


def count(log):
    """Requests that the origin has logged."""
    return log.read_bytes().count(b"\n")


def measure(server, log, seconds):
    """One run of wrk: CPU per request, requests per second, latencies."""
    hits, cpu, began = count(log), server.cpu_seconds(), time.monotonic()
    result = common.wrk(server.port, PATH, seconds)
    cpu, wall = server.cpu_seconds() - cpu, time.monotonic() - began
    if missed := count(log) - hits:
        result["trouble"].append(f"{missed} requests reached the origin: not all were hits")
    if result["trouble"]:
        print(f"  {server.name}: {'; '.join(result['trouble'])}", file=sys.stderr)
    return result | {
        "cpu_us": cpu * 1e6 / result["requests"],
        "cores": cpu / wall,
        "origin_requests": missed,
    }


def summarise(rounds):
    """The median of each figure over the rounds of one server."""
    keys = ("cpu_us", "rps", "p50_ms", "p99_ms", "cores")
    out = {key: common.median(r[key] for r in rounds) for key in keys}
    out["cpu_us_range"] = [min(r["cpu_us"] for r in rounds), max(r["cpu_us"] for r in rounds)]
    out["origin_requests"] = sum(r["origin_requests"] for r in rounds)
    return out


def report(results):
    """Prints the medians, and CPU per request as a ratio to that of each peer that ran."""
    peers = [name for name in results if name != "forebay"]
    head = ["server", "CPU µs/request", "(lowest–highest)", "requests/s", "p50 ms", "p99 ms", "cores", "at origin"]
    rows = []
    for name, r in results.items():
        low, high = r["cpu_us_range"]
        row = [name, f"{r['cpu_us']:.2f}", f"({low:.2f}–{high:.2f})", f"{r['rps']:,.0f}", f"{r['p50_ms']:.2f}"]
        row += [f"{r['p99_ms']:.2f}", f"{r['cores']:.2f}", r["origin_requests"]]
        rows.append(row + [f"{r['cpu_us'] / results[p]['cpu_us']:.2f}" for p in peers])
    print()
    common.table(head + [f"/ {p}" for p in peers], rows)


def main():
    """Starts the servers, measures round by round, reports."""
    parser = common.options(__doc__, STARTERS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each run of wrk")
    args = parser.parse_args()
    common.stop_cleanly()
    names = args.only or list(STARTERS)
    common.program("wrk")
    if "forebay" in names:
        common.choose_forebay(args.binary)

    machine = common.machine()
    rounds = {name: [] for name in names}
    servers = []
    with tempfile.TemporaryDirectory(prefix="forebay-hit-") as directory:
        try:
            source, log = origin(directory)
            servers.append(source)
            source.wait_ready()
            expected = common.get(source.port, PATH)[2]
            for name in names:
                servers.append(STARTERS[name](directory, common.free_port(), source.port))
                servers[-1].wait_ready()
                warm(servers[-1], log, expected)
            for number in range(args.rounds):
                for server in servers[1:]:
                    result = measure(server, log, args.seconds)
                    rounds[server.name].append(result)
                    figures = f"{result['cpu_us']:6.2f} µs {result['rps']:9,.0f}/s"
                    print(f"round {number + 1} {server.name:11} {figures}", flush=True)
        finally:
            for server in reversed(servers):
                server.stop()

    results = {name: summarise(r) for name, r in rounds.items()}
    report(results)
    if args.json:
        data = {"bench": "hit", "bytes": SIZE, "seconds": args.seconds, "machine": machine}
        Path(args.json).write_text(json.dumps(data | {"median": results, "rounds": rounds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
