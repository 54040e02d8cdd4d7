#!/usr/bin/env python3
"""The disk tier: hits from disk, cold and warm, and misses that are stored; Forebay beside nginx and Traffic Server.

    python3 benches/disk.py [--rounds 3] [--seconds 4] [--scale 1] [--share 0.05] [--quick]
                            [--scene NAME]... [--directory /var/tmp] [--only NAME]... [--binary PATH] [--json FILE]

Scenes, each with servers and directories of its own:

    hit-1K hit-32K hit-1000K   random objects out of many; memory holds about a twentieth of them
    miss-1K miss-100K          every request another object, which is stored

Each ends with the server's system calls per operation, counted by strace. See README.md for how to read the figures.
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

KIB, MIB = 1 << 10, 1 << 20
SIZES = {"1K": KIB, "32K": 32 * KIB, "100K": 100 * KIB, "1000K": 1000 * KIB}
OBJECTS = {"1K": 40_000, "32K": 40_000, "1000K": 500}
SCENES = [f"hit-{kind}" for kind in OBJECTS] + ["miss-1K", "miss-100K"]
SAMPLE = 200
FILLERS = 4

# ---- the origin: bodies that all differ, made without a file ----

# Its first letter ends the name of a variable in the configuration below.
PAD = "-" + "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1999))


def path_of(kind, number):
    """The path of an object."""
    return f"/{kind}/{number:09}"


def body_of(path):
    """The body of an object: its path, and the same filling as all of its kind."""
    size = SIZES[path.split("/")[1]]
    return (path + PAD * (size // len(PAD) + 1))[:size].encode()


def origin(directory):
    """nginx that makes the bodies up, cacheable for an hour, and logs one byte and a newline for each request."""
    port, log = common.free_port(), Path(directory) / "origin-requests"
    places = ""
    for kind, size in SIZES.items():
        whole, rest = divmod(size - len(path_of(kind, 0)), len(PAD))
        places += f'location /{kind}/ {{ return 200 "${{uri}}{"$p" * whole}-{PAD[1:rest]}"; }}\n'
    http = f"""
    log_format one "x";
    access_log {log} one;
    default_type application/octet-stream;
    server {{ listen 127.0.0.1:{port} backlog=4096; expires 1h; set $p "{PAD}"; {places} }}"""
    return common.nginx(directory, "origin", port, http), log


def count(log):
    """Requests that the origin has logged."""
    return log.stat().st_size // 2


# ---- the servers ----


class Forebay:
    """Forebay with a cache directory."""

    unseen = 0

    def __init__(self, directory, origin_port, tier, bytes_on_disk, objects):
        # The same at each start: it is in the key of an object.
        self.port = common.free_port()
        self.directory, self.origin_port = directory, origin_port
        self.cache = directory / "forebay-cache"
        # The memory tier has five eighths of the budget, which is the limit less 24 MiB and a sixth.
        limit = max((tier * 8 / 5 + 24 * MIB) * 6 / 5, 64 * MIB)
        self.tier = int((limit * 5 / 6 - 24 * MIB) * 5 / 8)
        self.options = ["--cache-dir", self.cache, "--disk", f"{bytes_on_disk // MIB}MiB"]
        self.memory = ["--memory", f"{int(limit) // KIB}KiB"]
        # So little memory has a short queue to the disk, which would refuse much while objects are loaded.
        self.loading = False

    def start(self):
        """Starts it on what it has on disk, and waits for its index."""
        options = self.options if self.loading else self.options + self.memory
        server = common.forebay(self.directory, self.port, self.origin_port, *options).wait_ready()
        end = time.monotonic() + 30
        while "disk tier: serving" not in server.log.read_text(errors="replace"):
            if time.monotonic() > end:
                raise RuntimeError("forebay does not load its index")
            time.sleep(0.02)
        return server

    def complaints(self):
        """Lines of its log that tell of trouble."""
        return matching(self.directory / "forebay.log", r" WARN | ERROR |panicked")


class Nginx:
    """nginx as in hit.py: two workers, sendfile, a cache on disk without a limit. Its memory is the page cache."""

    unseen = 0
    loading = False

    def __init__(self, directory, origin_port, tier, bytes_on_disk, objects):
        self.port = common.free_port()
        self.directory, self.origin_port = directory, origin_port
        self.cache, self.tier = directory / "nginx-cache", 0
        self.keys = max(16, objects // 4000)

    def start(self):
        """Starts it on what it has on disk."""
        http = f"""
        access_log off;
        proxy_cache_path {self.cache} levels=1:2 keys_zone=all:{self.keys}m inactive=1d use_temp_path=off;
        upstream origin {{ server 127.0.0.1:{self.origin_port}; keepalive 64; keepalive_requests 1000000000; }}
        server {{
            listen 127.0.0.1:{self.port} backlog=4096;
            location / {{
                proxy_pass http://origin;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_cache all;
                proxy_cache_key $uri$is_args$args;
            }}
        }}"""
        return common.nginx(self.directory, "nginx", self.port, http, workers=2).wait_ready()

    def complaints(self):
        """Lines of its log that tell of trouble."""
        return matching(self.directory / "nginx" / "error.log", r"\[(error|crit|alert|emerg)\]")


class Ats:
    """Apache Traffic Server from a private directory: one cache file, and a RAM cache as large as Forebay's tier."""

    # Seconds until its directory is on disk, see `dir.sync_frequency` below.
    unseen = 4
    loading = False

    def __init__(self, directory, origin_port, tier, bytes_on_disk, objects):
        self.port = common.free_port()
        self.directory, self.origin_port, self.tier = directory, origin_port, tier
        self.home = directory / "ats"
        self.cache = self.home / "cache"
        # Room in its directory of objects is reckoned at 8,000 bytes each.
        self.storage = max(bytes_on_disk, objects * 16_000)

    def start(self):
        """Starts it on what it has on disk."""
        # Its directory of objects goes to disk from time to time only, and not at its end.
        more = {"cache.dir.sync_frequency": "INT 2"}
        storage = self.storage // MIB
        server = common.traffic_server(self.home, self.port, self.origin_port, storage, self.tier, more)
        return server.wait_ready(30)

    def complaints(self):
        """Lines of its log that tell of trouble."""
        return matching(self.home / "log" / "diags.log", r"ERROR|FATAL|ALERT")


STARTERS = {"nginx": Nginx, "ats": Ats, "forebay": Forebay}


def matching(log, pattern):
    """Lines of a log in which a pattern is found."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return [line for line in text.splitlines() if re.search(pattern, line)]


class Contestant:
    """A server that is stopped and started again on what it has on disk."""

    def __init__(self, name, *how):
        self.name, self.kind, self.server = name, STARTERS[name](*how), None
        self.trouble = []

    def restart(self, empty=False, cold=False):
        """Starts it anew; `empty` without what it has on disk, `cold` with nothing of it in the page cache."""
        self.stop()
        if empty:
            shutil.rmtree(self.kind.cache, ignore_errors=True)
        if cold:
            drop_caches()
        self.server = self.kind.start()

    def stop(self):
        """Stops it, if it runs, and takes note of what it complained of."""
        if self.server:
            self.server.stop()
            complaints = self.kind.complaints()
            for line in [line for line in complaints if line not in self.trouble][:5]:
                print(f"  {self.name}: {line}", file=sys.stderr)
            self.trouble += complaints
        self.server = None

    def settle(self, seconds=30):
        """Waits until it does nothing any more: what is written behind requests is written."""
        time.sleep(self.kind.unseen)
        end, quiet = time.monotonic() + seconds, 0
        while quiet < 2 and time.monotonic() < end:
            before = self.server.cpu_seconds()
            time.sleep(0.4)
            quiet = quiet + 1 if self.server.cpu_seconds() - before <= 0.03 else 0


def drop_caches():
    """Empties the page cache; False if that is not allowed."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    except OSError:
        return False


def read_all(directory):
    """Brings all files below a directory into the page cache."""
    for parent, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(parent, name), "rb", buffering=0) as file:
                while file.read(MIB):
                    pass


# ---- the clients ----


class Client:
    """One connection, kept alive, that asks for one object after the other and compares every byte."""

    def __init__(self, port):
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), 30)

    def check(self, path):
        """Asks for an object; what is wrong with the answer, if anything."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.more()
        head = data[:end].decode("latin-1")
        del data[: end + 4]
        length = re.search(r"(?im)^content-length:\s*(\d+)\r?$", head)
        if length is None:
            raise ConnectionError(f"no length: {head}")
        while len(data) < int(length[1]):
            data += self.more()
        if head.split(" ", 2)[1] != "200":
            return head.split("\r\n", 1)[0]
        return None if data == body_of(path) else f"wrong body of {path}"

    def more(self):
        """What has come."""
        piece = self.socket.recv(262_144)
        if not piece:
            raise ConnectionError("closed in the middle of an answer")
        return piece


def ask_for(port, paths, clients=1):
    """Asks for all these, and returns what was wrong with answers."""
    wrong = []

    def run(mine):
        try:
            client = Client(port)
            wrong.extend(filter(None, map(client.check, mine)))
            client.socket.close()
        except (OSError, ConnectionError) as error:
            wrong.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(paths[i::clients],)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


SCRIPT = """
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function init(args)
    mode, kind, count, base = args[1], args[2], tonumber(args[3]), tonumber(args[4])
    walked = args[5]
    math.randomseed(base * 2 + id)
    asked, order = 0, {}
    if mode ~= "walk" then return end
    for n = id, count - 1, 2 do order[#order + 1] = n end
    for i = #order, 2, -1 do
        local j = math.random(i)
        order[i], order[j] = order[j], order[i]
    end
end
function request()
    local n
    asked = asked + 1
    if mode == "walk" then
        -- Those that are on their way when a thread stops are not counted: let that be others.
        n = order[asked] or order[(asked - 1) % #order + 1]
        if asked == #order + 32 then
            io.open(walked .. id, "w"):close()
            wrk.thread:stop()
        end
    elseif mode == "random" then n = math.random(0, count - 1)
    else n = base + id * 10000000 + asked end
    return wrk.format("GET", string.format("/%s/%09d", kind, n))
end
"""


def miss_base(number):
    """Where the numbers of a round's new objects begin; the second thread's begin ten million later."""
    return (number + 1) * 20_000_000


# ---- hits ----


def load(contestant, kind, objects, log):
    """Stores all objects, and compares them, until a server started anew has them all; how many passes that took."""
    paths = [path_of(kind, n) for n in range(objects)]
    contestant.kind.loading = True
    for number in range(1, 7):
        contestant.restart()
        before = count(log)
        if wrong := ask_for(contestant.server.port, paths, FILLERS):
            sys.exit(f"{contestant.name} gave {len(wrong)} wrong answers: {wrong[:3]}")
        missing = count(log) - before
        print(f"  {contestant.name}: pass {number}, {missing} of {objects} came from the origin", flush=True)
        contestant.settle()
        if missing <= objects / 1000:
            break
    else:
        print(f"  {contestant.name}: does not keep all objects", file=sys.stderr)
    contestant.kind.loading = False
    return number


def measure_hits(contestant, script, log, kind, objects, mode, seed, seconds):
    """One run of wrk over the objects."""
    server = contestant.server
    wrong = ask_for(server.port, [path_of(kind, n) for n in random.Random(seed).sample(range(objects), 20)])
    walked = contestant.kind.directory / "walked"
    before, cpu, began = count(log), server.cpu_seconds(), time.time()
    result = common.wrk(server.port, "/", seconds, script, mode, kind, objects, seed, walked)
    if took := walk_seconds(walked, began):
        result["rps"] = result["requests"] / took
    result["cpu_us"] = (server.cpu_seconds() - cpu) * 1e6 / result["requests"]
    result["origin_requests"] = count(log) - before
    result["passes"] = result["requests"] / objects
    result["trouble"] += wrong
    if result["origin_requests"] > result["requests"] / 1000:
        result["trouble"].append(f"{result['origin_requests']} requests reached the origin: not all were hits")
    if result["trouble"]:
        print(f"  {contestant.name}: {'; '.join(result['trouble'])}", file=sys.stderr)
    return result


def walk_seconds(walked, began):
    """How long wrk's two threads took to ask for each object once; None if the time was too short for that. wrk
    itself waits for the end of its time, and reckons with it."""
    marks = [Path(f"{walked}{number}") for number in range(2)]
    times = [mark.stat().st_mtime for mark in marks if mark.exists()]
    for mark in marks:
        mark.unlink(missing_ok=True)
    return max(times) - began if len(times) == 2 else None


def hits(kind, names, directory, source, log, args):
    """The scene of hits of one size."""
    objects = OBJECTS[kind] if kind == "1K" else max(100, int(OBJECTS[kind] * args.scale))
    data = objects * SIZES[kind]
    tier = Forebay(directory, 0, data * args.share, 0, 0).tier
    print(f"\nhit-{kind}: {objects:,} objects, {data / MIB:,.0f} MiB; memory tier {tier / MIB:.1f} MiB, "
          f"{tier / data:.0%} of the data", flush=True)
    how = directory, source.port, tier, data * 2 + 512 * MIB, objects
    contestants, rounds, calls, passes = [], {}, {}, {}
    script = directory / "wrk.lua"
    script.write_text(SCRIPT)
    try:
        for name in names:
            contestants.append(Contestant(name, *how))
            passes[name] = load(contestants[-1], kind, objects, log)
        for number in range(args.rounds):
            for contestant in contestants:
                contestant.restart(cold=True)
                for mode, state in (("walk", "cold"), ("random", "warm")):
                    result = measure_hits(contestant, script, log, kind, objects, mode, number, args.seconds)
                    rounds.setdefault((contestant.name, state), []).append(result)
                    progress(number, contestant.name, state, result)
                    read_all(contestant.kind.cache)
        for contestant in contestants:
            contestant.restart()
            paths = [path_of(kind, n) for n in random.Random(9).sample(range(objects), min(SAMPLE, objects))]
            calls[contestant.name] = system_calls(contestant, paths)
    finally:
        for contestant in contestants:
            contestant.stop()
    medians = {f"{name} {state}": summarise(r) for (name, state), r in rounds.items()}
    rows = {f"{name} {state}": r for (name, state), r in rounds.items()}
    facts = {"objects": objects, "tier_bytes": tier, "passes_to_load": passes}
    return facts | {"median": medians, "calls": calls, "rounds": rows, "trouble": troubles(contestants)}


# ---- misses ----


def measure_misses(contestant, script, log, kind, number, seconds):
    """One run of wrk in which every object is new. CPU counts until all is written; then a restarted server is asked
    for a sample, to see how much was kept."""
    contestant.restart(empty=True)
    server, base = contestant.server, miss_base(number)
    taken, before, cpu = common.disk_bytes(contestant.kind.cache), count(log), server.cpu_seconds()
    result = common.wrk(server.port, "/", seconds, script, "count", kind, 0, base)
    result["busy_cores"] = (server.cpu_seconds() - cpu) / seconds
    contestant.settle()
    result["cpu_us"] = (server.cpu_seconds() - cpu) * 1e6 / result["requests"]
    result["origin_requests"] = count(log) - before
    os.sync()
    result["disk_bytes"] = common.disk_bytes(contestant.kind.cache) - taken
    contestant.restart()
    # The threads come about equally far.
    most = max(1, result["requests"] * 9 // 20)
    numbers = random.Random(number).sample(range(1, most + 1), min(SAMPLE, most))
    before = count(log)
    paths = [path_of(kind, base + n + (n % 2) * 10_000_000) for n in numbers]
    result["trouble"] += ask_for(contestant.server.port, paths)
    result["kept"] = 1 - (count(log) - before) / len(paths)
    # An object that was refused takes no disk.
    result["disk_per_object"] = result["disk_bytes"] / result["requests"]
    if result["trouble"]:
        print(f"  {contestant.name}: {'; '.join(map(str, result['trouble'][:5]))}", file=sys.stderr)
    return result


def misses(kind, names, directory, source, log, args):
    """The scene of misses of one size, with Forebay's default memory limit."""
    print(f"\nmiss-{kind}:", flush=True)
    budget = 1024 * MIB * 5 / 6 - 24 * MIB
    how = directory, source.port, int(budget * 5 / 8), 6 << 30, 250_000
    contestants = [Contestant(name, *how) for name in names]
    script = directory / "wrk.lua"
    script.write_text(SCRIPT)
    rounds, calls = {}, {}
    try:
        for number in range(args.rounds):
            for contestant in contestants:
                result = measure_misses(contestant, script, log, kind, number, args.seconds)
                rounds.setdefault(contestant.name, []).append(result)
                progress(number, contestant.name, "miss", result)
        for contestant in contestants:
            contestant.restart(empty=True)
            calls[contestant.name] = system_calls(contestant, [path_of(kind, n) for n in range(SAMPLE)])
    finally:
        for contestant in contestants:
            contestant.stop()
    medians = {name: summarise(r) for name, r in rounds.items()}
    return {"median": medians, "calls": calls, "rounds": rounds, "trouble": troubles(contestants)}


# ---- system calls ----


def system_calls(contestant, paths):
    """System calls per operation while one connection asks for one object after the other, less those of an idle
    server in the same time. None if there is no strace, or it may not attach."""
    strace = shutil.which("strace")
    if not strace:
        return None
    read_all(contestant.kind.cache)
    contestant.settle()
    idle, idle_seconds = traced(strace, contestant, [])
    calls, seconds = traced(strace, contestant, paths)
    if not calls:
        return None
    per = {name: (n - idle.get(name, 0) * seconds / idle_seconds) / len(paths) for name, n in calls.items()}
    return {name: round(n, 2) for name, n in sorted(per.items(), key=lambda c: -c[1]) if n >= 0.02}


def traced(strace, contestant, paths):
    """System calls by name, and for how many seconds they were counted."""
    summary = contestant.kind.directory / "strace"
    command = [strace, "-f", "-c", "-o", summary]
    for pid in contestant.server.pids():
        command += ["-p", str(pid)]
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.7)
        began = time.monotonic()
        wrong = ask_for(contestant.server.port, paths) if paths else []
        contestant.settle(5)
        seconds = time.monotonic() - began + 0.5
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
    if wrong:
        print(f"  {contestant.name} under strace: {wrong[:3]}", file=sys.stderr)
    calls = {}
    for line in summary.read_text(errors="replace").splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[0][0].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    return calls, seconds


# ---- reporting ----


def progress(number, name, state, result):
    """A line for each run."""
    figures = f"{result['cpu_us']:8.1f} µs {result['rps']:9,.0f}/s p99 {result['p99_ms']:.1f} ms"
    kept = f", {result['kept']:.0%} kept" if "kept" in result else f", {result['passes']:.2f} passes"
    print(f"round {number + 1} {name:8} {state:5} {figures}{kept}", flush=True)


def troubles(contestants):
    """What servers complained of in their logs."""
    return {c.name: c.trouble[:20] for c in contestants if c.trouble}


def summarise(rounds):
    """The median of each figure over the rounds."""
    numbers = [key for key, value in rounds[0].items() if isinstance(value, (int, float))]
    out = {key: common.median(r[key] for r in rounds) for key in numbers}
    out["cpu_us_range"] = [min(r["cpu_us"] for r in rounds), max(r["cpu_us"] for r in rounds)]
    return out


def ratios(medians, key, names):
    """CPU as a ratio to that of each peer in the same state."""
    name, _, state = key.partition(" ")
    peers = [f"{peer} {state}".strip() for peer in names if peer != "forebay"]
    return [f"{medians[key]['cpu_us'] / medians[peer]['cpu_us']:.2f}" for peer in peers]


def report(results, names):
    """Prints a table of each kind."""
    head = ["CPU µs/request", "(lowest–highest)", "requests/s", "p50 ms", "p99 ms", "at origin"]
    peers = [f"/ {name}" for name in names if name != "forebay"]
    hit_rows, miss_rows, call_rows = [], [], []
    for scene, result in results.items():
        for key, r in result["median"].items():
            low, high = r["cpu_us_range"]
            row = [f"{scene} {key}", f"{r['cpu_us']:.1f}", f"({low:.1f}–{high:.1f})", f"{r['rps']:,.0f}"]
            row += [f"{r['p50_ms']:.2f}", f"{r['p99_ms']:.2f}", f"{r['origin_requests']:,.0f}"]
            last = ratios(result["median"], key, names)
            if "kept" in r:
                more = [f"{r['kept']:.0%}", f"{r['disk_bytes'] / MIB:,.0f}", f"{r['disk_per_object']:,.0f}"]
                miss_rows.append(row + more + last)
            else:
                hit_rows.append(row + [f"{r['passes']:.2f}"] + last)
        for name, calls in result["calls"].items():
            total = f"{sum(calls.values()):.1f}" if calls else "-"
            call_rows.append([f"{scene} {name}", total, ", ".join(f"{c} {n:g}" for c, n in (calls or {}).items())])
    for title, head, rows in (
        ("Hits from disk", head + ["passes", *peers], hit_rows),
        ("Misses, stored", head + ["kept", "MiB on disk", "bytes/request", *peers], miss_rows),
    ):
        if rows:
            print(f"\n{title}:\n")
            common.table([""] + head, rows)
    print("\nSystem calls per operation (one connection, one request after the other):\n")
    for scene, total, calls in call_rows:
        print(f"{scene:20} {total:>6}  {calls}")
    for scene, result in results.items():
        for name, lines in result["trouble"].items():
            print(f"\n{scene}: {name} complained: {lines[0]}" + (f" (and {len(lines) - 1} more)" if lines[1:] else ""))


def main():
    """Starts the origin, plays the scenes, reports."""
    parser = common.options(__doc__, STARTERS)
    parser.add_argument("--rounds", type=int, help="by default 3")
    parser.add_argument("--seconds", type=int, help="of each run of wrk, by default 4")
    parser.add_argument("--scale", type=float, help="objects of 32 and of 1,000 KB, as a part of the default")
    parser.add_argument("--share", type=float, default=0.05, help="of the data that memory holds; by default 0.05")
    parser.add_argument("--quick", action="store_true", help="one round of 2 seconds with a fifth of the objects")
    parser.add_argument("--directory", default="/var/tmp", help="where caches are kept; on a real disk")
    parser.add_argument("--scene", action="append", choices=SCENES, help="this one alone; may be repeated")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.seconds = args.seconds or (2 if args.quick else 4)
    args.scale = args.scale or (0.2 if args.quick else 1)
    common.stop_cleanly()
    names = args.only or list(STARTERS)
    common.program("wrk")
    if "forebay" in names:
        common.choose_forebay(args.binary)
    if "ats" in names:
        common.program("traffic_server")

    machine = common.machine() | {"drops_caches": drop_caches()}
    if not machine["drops_caches"]:
        print("The page cache cannot be dropped: cold is only restarted. Run as root.", file=sys.stderr)
    results = {}
    with tempfile.TemporaryDirectory(prefix="forebay-disk-", dir=args.directory) as directory:
        source, log = origin(directory)
        try:
            source.wait_ready()
            for scene in args.scene or SCENES:
                what, _, kind = scene.partition("-")
                place = Path(directory) / scene
                place.mkdir()
                play = hits if what == "hit" else misses
                results[scene] = play(kind, names, place, source, log, args)
                shutil.rmtree(place)
        finally:
            source.stop()

    report(results, names)
    if args.json:
        data = {"bench": "disk", "seconds": args.seconds, "machine": machine}
        Path(args.json).write_text(json.dumps(data | {"scenes": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
