#!/usr/bin/env python3
"""Purges beside hits: a tag over a million objects, a million purges while clients are answered, and many callers at once.

    python3 benches/purge.py [--objects 1000000] [--rate 5000] [--seconds 10] [--purges 1000000] [--disk]
                             [--binary PATH] [--json FILE] [--directory /var/tmp]

Objects of 1 KB with two tags each, one of a thousand and one of ten; in memory, or with --disk beside a cache directory
in --directory. See README.md for how to read the figures.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common
from compare.servers.references import binary

CALLERS, KEYS_A_CALL = 64, 100


def origin(directory, port):
    """nginx whose answers name their tags by the digits of their path."""
    body = "x" * 1024
    http = f"""
    access_log off;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ "^/o/(\\d*?(\\d\\d(\\d)))$" {{
            add_header Cache-Control "max-age=86400";
            add_header Surrogate-Key "thousand-$2 ten-$3";
            return 200 "{body}";
        }}
        location ~ "^/o/\\d+$" {{
            add_header Cache-Control "max-age=86400";
            return 200 "{body}";
        }}
    }}"""
    return common.nginx(directory, "origin", port, http, workers=2).wait_ready()


def open_loop(port, numbers, rate, seconds, requests=None):
    """Our own client: see benches/references."""
    words = ["--port", port, "--path", "/o/{}", "--rate", rate, "--seconds", seconds, "--numbers", numbers]
    words += ["--requests", requests] if requests else []
    run = subprocess.run([binary("open-loop"), *map(str, words)], capture_output=True, text=True, timeout=seconds + 300)
    if run.returncode != 0:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout)


class Admin:
    """The admin API: a connection that is opened anew when the node has closed it."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method, path, text=None):
        """Status and content of an answer."""
        fields = {"Content-Type": "application/json"} if text else {}
        for last in (False, True):
            try:
                self.connection.request(method, path, text, fields)
                answer = self.connection.getresponse()
                return answer.status, answer.read().decode(errors="replace")
            except (OSError, http.client.HTTPException):
                self.connection.close()
                if last:
                    raise
        return None

    def purge(self, **wish):
        """Purges; gives the seconds that it took."""
        text = json.dumps(wish)
        begun = time.monotonic()
        status, said = self.ask("POST", "/v1/purge", text)
        if status != 200:
            raise RuntimeError(f"{status}: {said}")
        return time.monotonic() - begun

    def metric(self, name):
        """A number of /metrics."""
        _, text = self.ask("GET", "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)


def syncs_a_second(directory, seconds=2):
    """How often a file of the directory can be written to and synced."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        begun, count = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            os.write(file.fileno(), bytes(96))
            os.fdatasync(file.fileno())
            count += 1
    return count / seconds


def rss(server):
    """RssAnon of a server in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


def beside(work, *load, times=1):
    """The reports of a load that is made so often, with `work` going on beside it; and what that gave."""
    result = {}

    def run():
        result["is"] = work()

    thread = threading.Thread(target=run)
    thread.start()
    reports = [open_loop(*load) for _ in range(times)]
    thread.join()
    return reports, result.get("is")


def hits_of(port, numbers):
    """How many of these objects are answered from the cache."""
    connection, hits = http.client.HTTPConnection("127.0.0.1", port), 0
    for number in numbers:
        connection.request("GET", f"/o/{number}")
        answer = connection.getresponse()
        answer.read()
        hits += "; hit" in answer.getheader("Cache-Status", "")
    return hits


def p99(report):
    """In milliseconds."""
    return report["p99_ms"]


def tag_purges(port, admin, options, figures):
    """One tag of a thousand, then one of ten, while hits are answered."""
    load = (port, f"random:{options.objects}", options.rate, options.seconds)
    quiet = [p99(open_loop(*load)) for _ in range(3)]
    figures["hit p99 in quiet, ms"] = statistics.median(quiet)
    [report], took = beside(lambda: (time.sleep(1), admin.purge(tags=["thousand-123"], soft=False))[1], *load)
    figures["a tag of a thousandth: answered after, ms"] = took * 1000
    figures["hit p99 meanwhile, ms"] = p99(report)
    ours = [n for n in range(123, options.objects, 1000)][:1000]
    # Those that clients have asked for meanwhile are there again.
    admin.purge(tags=["thousand-123"], soft=False)
    figures["of its objects still hits"] = hits_of(port, ours)

    def sweep():
        entries, used = admin.metric("forebay_memory_tier_entries"), admin.metric("forebay_memory_tier_bytes")
        time.sleep(1)
        took = admin.purge(tags=["ten-7"], soft=False)
        begun = time.monotonic()
        while admin.metric("forebay_memory_tier_entries") > entries - options.objects / 10 * 0.8:
            if time.monotonic() - begun > 120:
                return took, None, 0
            time.sleep(0.2)
        return took, time.monotonic() - begun, used - admin.metric("forebay_memory_tier_bytes")

    # Nothing of it is asked for again, so that what is gone stays gone.
    numbers = f"random:{options.objects // 10}"
    [report], (took, back, freed) = beside(sweep, port, numbers, options.rate, options.seconds * 2)
    figures["a tag of a tenth: answered after, ms"] = took * 1000
    figures["its space is back after, s"] = back
    figures["bytes given back, MiB"] = freed / (1 << 20)
    figures["hit p99 meanwhile (with its misses), ms"] = p99(report)


def many_callers(port, admin_port, options, figures):
    """Sixty-four callers with one key each."""
    counts, end = [0] * CALLERS, time.monotonic() + options.seconds

    def call(nth):
        admin = Admin(admin_port)
        while time.monotonic() < end:
            admin.purge(urls=[f"http://127.0.0.1:{port}/x/{nth}-{counts[nth]}"])
            counts[nth] += 1

    run_all(call)
    figures["64 callers, one key each: purges a second"] = sum(counts) / options.seconds


def run_all(call):
    threads = [threading.Thread(target=call, args=(nth,)) for nth in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def many_purges(port, admin_port, other_port, server, options, figures):
    """Purges of as many URLs, spread over a run in which hits are answered; before that, a part of them at another node, which
    costs the machine as much."""
    calls = options.purges // KEYS_A_CALL
    seconds = max(options.seconds, calls // 100)
    before = rss(server)

    def work(admin_port=admin_port, calls=calls, seconds=seconds):
        admin, begun, most = Admin(admin_port), time.monotonic(), 0
        for call in range(calls):
            admin.purge(urls=[f"http://127.0.0.1:{port}/y/{call}-{nth}" for nth in range(KEYS_A_CALL)])
            most = max(most, rss(server)) if call % 100 == 0 else most
            time.sleep(max(0, begun + call * seconds / calls - time.monotonic()))
        return most

    numbers = f"random:{min(options.objects, 10000)}"
    fifth = (calls // 5, seconds // 5)
    load = (port, numbers, options.rate, fifth[1])
    [report], _ = beside(lambda: work(other_port, *fifth), *load)
    figures["hit p99 while another node is purged as often, ms"] = p99(report)
    reports, most = beside(work, *load, times=5)
    admin = Admin(admin_port)
    figures[f"{options.purges} purges in {seconds} s: hit p99 of each fifth, ms"] = [p99(report) for report in reports]
    [report], _ = beside(lambda: work(other_port, *fifth), *load)
    figures["hit p99 while another node is purged once more, ms"] = p99(report)
    figures["RssAnon before and at most, MiB"] = [before, most]
    figures["records folded, retired"] = [
        admin.metric("forebay_ledger_folded_total"),
        admin.metric("forebay_ledger_retired_total"),
    ]


def main():
    parser = common.argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--purges", type=int, default=1_000_000)
    parser.add_argument("--disk", action="store_true")
    parser.add_argument("--directory", default="/var/tmp")
    parser.add_argument("--binary")
    parser.add_argument("--json")
    options = parser.parse_args()
    common.stop_cleanly()
    common.choose_forebay(options.binary)
    figures = {}
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        origin_port, port, admin_port = (common.free_port() for _ in range(3))
        origin(directory, origin_port)
        memory = max(256, options.objects * 3 // 1024 * 5 // 4)
        more = ["--memory", f"{memory}MiB", "--admin", admin_port]
        if options.disk:
            more += ["--cache-dir", Path(directory) / "cache", "--disk", f"{max(1, options.objects // 200_000) * 2}GiB"]
        server = common.forebay(directory, port, origin_port, *more).wait_ready()
        admin = Admin(admin_port)
        begun = time.monotonic()
        open_loop(port, "from:0", 0, 600, options.objects)
        figures["objects stored"] = admin.metric("forebay_memory_tier_entries")
        figures["stored in, s"] = time.monotonic() - begun
        syncs = syncs_a_second(directory) if options.disk else 0
        figures["fdatasync a second"] = syncs
        tag_purges(port, admin, options, figures)
        admin.connection.close()  # there are places for as many as will come
        many_callers(port, admin_port, options, figures)
        other_port, other_admin_port = common.free_port(), common.free_port()
        other = common.forebay(directory, other_port, origin_port, "--admin", other_admin_port, name="other").wait_ready()
        many_purges(port, admin_port, other_admin_port, server, options, figures)
        other.stop()
        server.stop()
    for name, value in figures.items():
        print(f"{name:45} {value}")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
