#!/usr/bin/env python3
"""What logs and metrics cost a small hit: builds of Forebay, with and without the access log, beside each other.

    python3 benches/telemetry.py --binary NAME=PATH [--binary NAME=PATH]... [--rounds 20] [--seconds 1]

Each binary runs twice, once with `--access-log off` and once logging to a file. All front one nginx, and wrk runs
against one after the other in short turns, so that what else the machine does falls on all alike. The figures are
CPU of the server for each request: the median, and the median of the ratios to the first server within each round.
See README.md.
"""

import argparse
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # keeps the checkout clean
import common
import hit


def start(directory, name, binary, port, origin_port, log):
    """One Forebay with its log."""
    command = [binary, "serve", "--listen", f"127.0.0.1:{port}", "--origin", f"http://127.0.0.1:{origin_port}"]
    return common.Server(name, command + ["--access-log", log], port, directory)


def main():
    """Starts all servers, lets wrk run against each in turn, reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=1)
    args = parser.parse_args()
    common.stop_cleanly()
    servers, logs, rounds = [], {}, {}
    with tempfile.TemporaryDirectory(prefix="forebay-telemetry-", dir="/var/tmp") as directory:
        try:
            source, log = hit.origin(directory)
            servers.append(source)
            source.wait_ready()
            expected = common.get(source.port, hit.PATH)[2]
            for pair in args.binary:
                name, path = pair.split("=", 1)
                for kind, where in (("off", "off"), ("log", f"{directory}/{name}.access")):
                    server = start(directory, f"{name}-{kind}", path, common.free_port(), source.port, where)
                    servers.append(server)
                    server.wait_ready()
                    hit.warm(server, log, expected)
                    logs[server.name], rounds[server.name] = where, []
            for number in range(args.rounds):
                # Every other round the other way round: none always comes after the same one.
                for server in servers[1:][:: 1 if number % 2 else -1]:
                    rounds[server.name].append(hit.measure(server, log, args.seconds)["cpu_us"])
                    if logs[server.name] != "off":
                        os.truncate(logs[server.name], 0)
                print(number + 1, *(f"{name} {r[-1]:.2f}" for name, r in rounds.items()), flush=True)
        finally:
            for server in reversed(servers):
                server.stop()
    first = next(iter(rounds.values()))
    rows = []
    for name, r in rounds.items():
        ratios = [own / other for own, other in zip(r, first)]
        rows.append([name, f"{common.median(r):.2f}", f"{min(r):.2f}", f"{common.median(ratios):.3f}"])
    common.table(["server", "CPU µs/request", "lowest", "/ first"], rows)


if __name__ == "__main__":
    main()
