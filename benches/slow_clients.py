#!/usr/bin/env python3
"""Slow clients of long answers that are not stored: when the origin is released, what it costs, and a stranger's hits.

    python3 benches/slow_clients.py [--clients 200] [--mb 50] [--rate 20000] [--hold 5] [--only NAME]...
                                    [--directory /var/tmp] [--binary PATH] [--json FILE]

Every client draws at --rate bytes a second until --hold seconds after the last origin was released, and then as fast as it
can. See README.md.
"""

import fcntl
import hashlib
import json
import multiprocessing
import os
import random
import re
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

CLIENT_PROCESSES, CHECKED, ASKED_A_SECOND, STEP = 4, 10, 200, 4096
PATIENCE = 180
RECEIVE_BUFFER = 16 << 10
HIT = b"GET /hit HTTP/1.1\r\nHost: localhost\r\n\r\n"


def stand_back():
    """Whoever sends or draws has computers of his own; here he gets what server and stranger leave of the cores."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


# ---- the origin ----


def origin(listening, path, size, finished):
    """Sends each body from its own place of a file, and tells when all of it has left."""
    stand_back()
    file = os.open(path, os.O_RDONLY)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=answer, args=(connection, file, size, finished), daemon=True).start()


def answer(connection, file, size, finished):
    """Answers requests on one connection, one after the other."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    came = b""
    while True:
        while b"\r\n\r\n" not in came:
            more = connection.recv(65536)
            if not more:
                return
            came += more
        head, _, came = came.partition(b"\r\n\r\n")
        asked = head.split()[1]
        if asked == b"/hit":
            connection.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 1024\r\n\r\n" + b"h" * 1024)
            continue
        nth = int(asked[1:])
        connection.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n" % size)
        at, end = nth * STEP, nth * STEP + size
        try:
            while at < end:
                at += os.sendfile(connection.fileno(), file, at, min(end - at, 1 << 20))
            while unsent(connection):
                time.sleep(0.005)
        except OSError:
            return
        with finished.get_lock():
            finished[nth] = time.monotonic()


def unsent(connection):
    """Bytes that the other side has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]


# ---- the clients ----


def draw(port, numbers, size, rate, fast, results):
    """Draws its bodies at the rate until it may go fast; tells of each whether it came whole, and some digests."""
    stand_back()
    waiting, bodies, whole = selectors.DefaultSelector(), {}, {}
    for nth in numbers:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % nth)
        client.setblocking(False)
        bodies[client] = {"nth": nth, "head": b"", "got": 0, "digest": hashlib.sha256() if nth < CHECKED else None}
    begin, slow = time.monotonic(), True
    while bodies and time.monotonic() < begin + PATIENCE:
        if slow:
            allowed = int((time.monotonic() - begin) * rate)
            for client in list(bodies):
                take(client, bodies, whole, size, max(0, allowed - bodies[client]["got"]))
            time.sleep(0.1)
            if fast.is_set():
                slow = False
                for client in bodies:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                    waiting.register(client, selectors.EVENT_READ)
            continue
        for key, _ in waiting.select(1):
            if not take(key.fileobj, bodies, whole, size, 1 << 20):
                waiting.unregister(key.fileobj)
    results.put({**whole, **{body["nth"]: None for body in bodies.values()}})


def take(client, bodies, whole, size, most):
    """Takes at most so much of one body; false once it has ended."""
    body = bodies[client]
    try:
        came = client.recv(most) if most else None
    except BlockingIOError:
        came = None
    except OSError:
        came = b""
    if came is None:
        return True
    ended = not came
    if body["head"] is not None:
        body["head"] += came
        head, found, came = body["head"].partition(b"\r\n\r\n")
        if not found:
            return not ended
        body["head"] = None
    body["got"] += len(came)
    if body["digest"]:
        body["digest"].update(came)
    if ended or body["got"] >= size:
        is_whole = body["got"] == size
        whole[body["nth"]] = (body["digest"].hexdigest() if body["digest"] else True) if is_whole else None
        del bodies[client]
        return False
    return True


# ---- the stranger, and what is looked at ----


def stranger(port, stop, results):
    """Asks for what is stored at a steady rate, from when each request is due."""
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took, begin, nth = [], time.monotonic(), 0
    while not stop.is_set():
        due = begin + nth / ASKED_A_SECOND
        nth += 1
        time.sleep(max(0, due - time.monotonic()))
        client.sendall(HIT)
        got = b""
        while not got.endswith(b"h" * 1024):
            more = client.recv(65536)
            if not more:
                sys.exit("the stranger was let go")
            got += more
        took.append((due, (time.monotonic() - due) * 1000))
    results.put(took)


def percentiles(took, begin, end):
    """p50 and p99 of what was due between two times."""
    within = sorted(ms for due, ms in took if begin <= due < end)
    return (within[len(within) // 2], within[len(within) * 99 // 100]) if within else (None, None)


def rss_anon(server):
    """Memory of all its processes that is no file's, in MiB."""
    total = 0
    for pid in server.pids():
        try:
            total += int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
        except (OSError, TypeError):
            pass
    return total / 1024


def socket_memory():
    """What all sockets of the machine take in the kernel, both ends of each, in MiB."""
    return int(re.search(r"TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text())[1]) * 4096 / 2**20


def sent_memory(port):
    """What the kernel holds of the server's answers, in MiB: of each socket to a client what was written and has not left it."""
    shown = subprocess.run(["ss", "-tmnH", "state", "established", f"( sport = :{port} )"], capture_output=True, text=True)
    return sum(int(bytes_) for bytes_ in re.findall(r"skmem:\(.*?,w(\d+)", shown.stdout)) / 2**20


def measure(server, args, path, finished, directory):
    """One server under all clients."""
    for nth in range(len(finished)):
        finished[nth] = 0
    common.get(server.port, "/hit")
    results, told, stop, fast = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event(), multiprocessing.Event()
    asking = multiprocessing.Process(target=stranger, args=(server.port, stop, told), daemon=True)
    asking.start()
    time.sleep(5)
    size, begin = args.mb * 1_000_000, time.monotonic()
    memory, sockets, cpu = rss_anon(server), socket_memory(), server.cpu_seconds()
    drawing = []
    for process in range(CLIENT_PROCESSES):
        numbers = range(process, args.clients, CLIENT_PROCESSES)
        what = (server.port, numbers, size, args.rate, fast, results)
        drawing.append(multiprocessing.Process(target=draw, args=what, daemon=True))
        drawing[-1].start()
    most, most_sockets, disk = memory, sockets, 0
    while not all(finished[: args.clients]) and time.monotonic() < begin + args.give_up:
        time.sleep(0.1)
        most, most_sockets = max(most, rss_anon(server)), max(most_sockets, socket_memory())
    released = time.monotonic()
    count = sum(1 for at in finished[: args.clients] if at)
    last = max(finished[: args.clients]) if count == args.clients else None
    until = released + args.hold
    while time.monotonic() < until:
        time.sleep(0.1)
        most, most_sockets = max(most, rss_anon(server)), max(most_sockets, socket_memory())
    held, cpu = sent_memory(server.port), server.cpu_seconds() - cpu
    fast.set()
    whole = {}
    for _ in drawing:
        whole |= results.get(timeout=PATIENCE + 60)
    drained = time.monotonic()
    stop.set()
    took = told.get(timeout=30)
    with open(path, "rb") as file:
        for nth in range(min(CHECKED, args.clients)):
            file.seek(nth * STEP)
            right = hashlib.sha256(file.read(size)).hexdigest()
            if whole.get(nth) != right:
                print(f"{server.name}: body {nth} is not what was sent", file=sys.stderr)
    quiet, meanwhile = percentiles(took, 0, begin), percentiles(took, begin, released)
    return {
        "released": count,
        "last_released_s": last and last - begin,
        "rss_anon_grown_mib": most - memory,
        "socket_memory_grown_mib": most_sockets - sockets,
        "unsent_mib": held,
        "cpu_seconds": cpu,
        "whole": sum(1 for digest in whole.values() if digest),
        "quiet_p50_p99_ms": quiet,
        "meanwhile_p50_p99_ms": meanwhile,
        "drawing_p50_p99_ms": percentiles(took, released, until),
        "draining_p50_p99_ms": percentiles(took, until, drained),
        "drained_s": drained - until,
    }


def disk_seconds(directory, size):
    """What the disk needs for so many bytes, by its pace for two GiB that are synced."""
    with tempfile.TemporaryFile(dir=directory) as file:
        piece, begin = os.urandom(1 << 20), time.monotonic()
        for _ in range(2048):
            file.write(piece)
        file.flush()
        os.fdatasync(file.fileno())
        return (time.monotonic() - begin) * size / 2**31


def nginx(directory, port, source):
    """nginx that spools what is not stored, as much of it as there is."""
    return common.caching_nginx(directory, port, source)


def forebay(directory, port, source):
    """Forebay with its defaults, but for room in files."""
    return common.forebay(directory, port, source, "--spill", "12GB", "--spill-dir", directory)


STARTERS = {"nginx": nginx, "forebay": forebay}


def main():
    """Starts the origin and each server, and reports."""
    parser = common.options(__doc__, STARTERS)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--mb", type=int, default=50)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--hold", type=float, default=5)
    parser.add_argument("--give-up", type=float, default=90, help="seconds after which origins are not waited for any more")
    parser.add_argument("--directory", default="/var/tmp")
    args = parser.parse_args()
    if "forebay" in (args.only or STARTERS):
        common.choose_forebay(args.binary)
    common.stop_cleanly()
    machine, results = common.machine(), {}
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        path, size = Path(directory) / "content", args.mb * 1_000_000
        path.write_bytes(random.Random(1).randbytes(size + args.clients * STEP))
        os.chmod(directory, 0o755)
        disk = disk_seconds(directory, args.clients * size)
        print(f"the disk needs {disk:.1f} s for {args.clients * size / 1e9:.1f} GB")
        finished, listening = multiprocessing.Array("d", args.clients), socket.create_server(("127.0.0.1", 0), backlog=1024)
        sending = multiprocessing.Process(target=origin, args=(listening, path, size, finished), daemon=True)
        sending.start()
        try:
            for name in args.only or STARTERS:
                server = STARTERS[name](directory, common.free_port(), listening.getsockname()[1]).wait_ready()
                results[name] = measure(server, args, path, finished, directory)
                server.stop()
                for key, value in results[name].items():
                    shown = [round(v, 2) if isinstance(v, float) else v for v in (value if isinstance(value, tuple) else [value])]
                    print(f"{name:8} {key:24} {' '.join(map(str, shown))}", flush=True)
            if args.json:
                what = {"bench": "slow_clients", "machine": machine, "disk_s": disk, "results": results}
                Path(args.json).write_text(json.dumps(what, indent=1))
        finally:
            sending.kill()
            common.stop_all()


if __name__ == "__main__":
    main()
