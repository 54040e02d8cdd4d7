#!/usr/bin/env python3
"""Compression: a real site on the wire beside nginx and Varnish, the first byte of a stream, and what a coded hit costs.

    python3 benches/compression.py [--part site] [--part first] [--part cpu] [--part instructions]
                                   [--package three@0.170.0] [--rounds 9] [--requests 100000] [--samples 500]
                                   [--binary PATH] [--json FILE] [--directory /var/tmp]

Needs nginx, varnish, brotli, zstd, h2load (nghttp2-client), valgrind and npm, which fetches the site once a run. See
README.md for how to read the figures.
"""

import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
import common

PARTS = ("site", "first", "cpu", "instructions")
MADE = ("br", "zstd", "gzip")

# What is coded, for all servers: of what nginx knows by name, all that Forebay codes unless it is told otherwise.
TYPES = "text/css text/plain text/xml application/javascript application/json application/wasm image/svg+xml font/ttf"


def forebay(directory, port, origin, codings, name, workers=2, under=()):
    """Forebay with these codings; where it tells its metrics is `.admin`."""
    admin = common.free_port()
    config = Path(directory) / f"{name}.toml"
    config.write_text(f"""
[node]
workers = {workers}
[[listeners]]
address = "127.0.0.1:{port}"
[memory]
limit = "1GiB"
[log]
access = "off"
[admin]
address = "127.0.0.1:{admin}"
[compression]
codings = {json.dumps(list(codings))}
[sites.main]
hosts = ["*"]
origins = ["http://127.0.0.1:{origin}"]
""")
    command = [*under, common.forebay_binary, "serve", "--config", config]
    server = common.Server(name, command, port, directory)
    server.admin = admin
    return server.wait_ready(60)


def metric(server, name):
    """A number of Forebay's."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.admin}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[ {{]", line))


def settle(server):
    """Waits until Forebay codes nothing any more: its CPU rests."""
    rests = 0
    while rests < 3:
        before = server.cpu_seconds()
        time.sleep(0.2)
        rests = rests + 1 if server.cpu_seconds() - before < 0.02 else 0


def gzip_nginx(directory, port, origin):
    """nginx with a cache, which codes each answer as it leaves."""
    gzip = f"gzip on; gzip_comp_level 6; gzip_proxied any; gzip_vary on; gzip_min_length 1024; gzip_types {TYPES};"
    # What is cached is what is not coded: a client that takes codings must not have the origin asked for them.
    extra = gzip + ' proxy_set_header Accept-Encoding "";'
    return common.caching_nginx(directory, port, origin, extra=extra).wait_ready()


def gzip_varnish(directory, port, origin):
    """Varnish, which codes once what it stores."""
    vcl = Path(directory) / "varnish.vcl"
    types = "|".join(re.escape(kind) for kind in TYPES.split()) + "|text/html"
    vcl.write_text(f"""vcl 4.1;
backend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_backend_response {{
    if (beresp.http.content-type ~ "^({types})") {{ set beresp.do_gzip = true; }}
}}
""")
    command = [common.program("varnishd"), "-F", "-j", "none", "-n", Path(directory) / "varnish", "-f", vcl]
    command += ["-a", f"127.0.0.1:{port}", "-s", "malloc,1G", "-p", "gzip_level=6"]
    return common.Server("varnish", command, port, directory).wait_ready()


def origin_of(directory, port, root):
    """nginx that serves files."""
    http = f"""
    access_log off;
    include /etc/nginx/mime.types;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root};
        expires 1d;
    }}"""
    return common.nginx(directory, "origin", port, http, workers=1).wait_ready()


# ---- a client that counts bytes ----


class Client:
    """A connection on which one file is asked for after the other. Counts what comes."""

    def __init__(self, port, coding):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.accept, self.port, self.read, self.held = coding, port, 0, b""

    def more(self):
        """Reads some bytes."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise RuntimeError("the connection ended")
        self.read += len(piece)
        self.held += piece

    def until(self, mark):
        """What comes up to a mark, which is taken off."""
        while mark not in self.held:
            self.more()
        found, _, self.held = self.held.partition(mark)
        return found

    def exactly(self, length):
        """So many bytes."""
        while len(self.held) < length:
            self.more()
        found, self.held = self.held[:length], self.held[length:]
        return found

    def get(self, path):
        """Status, fields and content as it came, without the framing."""
        accept = f"Accept-Encoding: {self.accept}\r\n"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{accept}\r\n".encode())
        head = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = dict(re.split(r":\s*", line.lower(), maxsplit=1) for line in head[1:])
        if fields.get("transfer-encoding") != "chunked":
            return int(head[0].split()[1]), fields, self.exactly(int(fields["content-length"]))
        content = []
        while size := int(self.until(b"\r\n"), 16):
            content.append(self.exactly(size))
            self.exactly(2)
        self.exactly(2)
        return int(head[0].split()[1]), fields, b"".join(content)


def decoded(coding, content):
    """By the tools of each coding."""
    if coding in (None, "identity"):
        return content
    if coding == "gzip":
        return zlib.decompress(content, 31)
    tool = {"br": "brotli", "zstd": "zstd"}[coding]
    return subprocess.run([tool, "-dc"], input=content, capture_output=True, check=True).stdout


def walk(port, coding, files, root, every=1):
    """Asks for all files once; each that is `every`th is compared with the file. Bytes that came, with and without what is not
    content; how many were coded, and how many of these as they left."""
    client = Client(port, coding)
    begun, content_bytes, coded, streamed = time.monotonic(), 0, 0, 0
    for nth, path in enumerate(files):
        status, fields, content = client.get(path)
        said = fields.get("content-encoding")
        content_bytes += len(content)
        coded += said is not None
        streamed += said is not None and "content-length" not in fields
        if status != 200 or said not in (None, coding):
            raise RuntimeError(f"{path}: {status}, {said} for {coding}")
        if nth % every == 0 and decoded(said, content) != (root / path[1:]).read_bytes():
            raise RuntimeError(f"{path}: {said} decodes to something else")
    seconds = time.monotonic() - begun
    return {"wire": client.read, "content": content_bytes, "coded": coded, "streamed": streamed, "seconds": seconds}


def fetched(directory, package):
    """The files of a package as npm has it: where, and their paths."""
    packed = ["npm", "pack", "--silent", "--pack-destination", str(directory), package]
    name = subprocess.run(packed, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
    subprocess.run(["tar", "xzf", Path(directory) / name, "-C", directory], check=True)
    root = Path(directory) / "package"
    files = sorted(f"/{file.relative_to(root)}" for file in root.rglob("*") if file.is_file())
    # A directory's index is not asked for, nor what has to be written otherwise in a URL.
    return root, [path for path in files if re.fullmatch(r"[\w./-]+", path)]


def site(directory, root, files, figures):
    """Bytes of the whole site, cold and warm."""
    origin = common.free_port()
    serving = origin_of(directory, origin, root)
    rows = []
    figures["files"] = len(files)
    figures["bytes of files"] = sum((root / path[1:]).stat().st_size for path in files)

    def row(name, cold, warm, more=""):
        figures[f"site: {name}"] = {"cold": cold, "warm": warm}
        rows.append([name, *(f"{walked[of]:,}" for walked in (cold, warm) for of in ("wire", "content")), more])

    for coding in (*MADE, "identity"):
        port = common.free_port()
        server = forebay(directory, port, origin, [] if coding == "identity" else [coding], f"forebay-{coding}")
        cold, passes = walk(port, coding, files, root, 10), 1
        while True:
            walked, passes = walk(port, coding, files, root, 10), passes + 1
            settle(server)
            if walked["streamed"] == 0 or passes > 60:
                break
        warm = walk(port, coding, files, root)
        stored = f"{warm['coded']} coded, {warm['streamed']} of them as they left; pass {passes} had all stored"
        row(f"forebay {coding}", cold, warm, stored if coding != "identity" else "")
        server.stop()
    for name, start in (("nginx gzip 6", gzip_nginx), ("varnish gzip 6", gzip_varnish)):
        port = common.free_port()
        server = start(directory, port, origin)
        cold, _ = walk(port, "gzip", files, root, 10), walk(port, "gzip", files, root, 10)
        warm = walk(port, "gzip", files, root)
        row(name, cold, warm, f"{warm['coded']} coded")
        server.stop()
    serving.stop()
    print(f"\n{len(files)} files, {figures['bytes of files']:,} bytes")
    common.table(["", "cold, wire", "content", "warm, wire", "content", ""], rows)


# ---- the first byte ----

PIECE = b"<p>What is there leaves at once, however little it is.</p>\n" * 40


def slow_origin(port, pipe):
    """Sends a piece, tells when, and waits for leave to send the rest."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        pipe.send("listens")
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            held = b""
            while piece := connection.recv(65536):
                held += piece
                if b"\r\n\r\n" not in held:
                    continue
                held = b""
                head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=60\r\n"
                connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                # The head has gone before, so that a compressor is there when the piece comes.
                time.sleep(0.002)
                begun = time.monotonic()
                connection.sendall(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
                pipe.send(begun)
                pipe.recv()
                connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(PIECE), PIECE))


def first(directory, samples, figures):
    """From when the origin begins to write its first piece to when a client has the first byte of the content, while the rest
    is held back."""
    origin = common.free_port()
    near, far = multiprocessing.Pipe()
    process = multiprocessing.Process(target=slow_origin, args=(origin, far), daemon=True)
    process.start()
    near.recv()
    rows = []
    port = common.free_port()
    server = forebay(directory, port, origin, MADE, "forebay-first")
    for coding in (*MADE, "identity"):
        times = []
        client = Client(port, coding)
        for nth in range(samples):
            request = f"GET /{coding}/{nth} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: {coding}\r\n\r\n"
            client.socket.sendall(request.encode())
            head = client.until(b"\r\n\r\n")
            client.until(b"\r\n")
            while not client.held:
                client.more()
            came = time.monotonic()
            if coding != "identity" and f"content-encoding: {coding}".encode() not in head.lower():
                raise RuntimeError(f"not coded: {head}")
            times.append((came - near.recv()) * 1000)
            near.send("go on")
            while not client.held.endswith(b"0\r\n\r\n"):
                client.more()
            client.held = b""
        times.sort()
        picked = {"p50_ms": times[len(times) // 2], "p99_ms": times[len(times) * 99 // 100], "most_ms": times[-1]}
        figures[f"first byte: {coding}"] = picked
        rows.append([coding, *(f"{value:.2f}" for value in picked.values())])
    server.stop()
    process.terminate()
    print(f"\nfirst byte after the origin's first piece, {samples} streams each")
    common.table(["", "p50, ms", "p99, ms", "most, ms"], rows)


# ---- what a coded hit costs ----


def h2load(port, path, coding, requests, clients):
    """So many requests by HTTP/1.1."""
    command = ["h2load", "--h1", "-n", requests, "-c", clients, "-t", 1, "-H", f"Accept-Encoding: {coding}"]
    url = f"http://127.0.0.1:{port}{path}"
    run = subprocess.run([*map(str, command), url], capture_output=True, text=True, timeout=600)
    if f"{requests} succeeded, 0 failed" not in run.stdout:
        raise RuntimeError(run.stdout + run.stderr)


def twins(directory, port, root, text, coding, length):
    """A text whose coding is stored, and a file that is as long as that and has a type that is not coded: their paths, how
    long both are, and the heads of both."""
    name = f"{coding}-{length}"
    (root / f"{name}.html").write_bytes(text[:length])
    client = Client(port, coding)
    while True:
        _, fields, content = client.get(f"/{name}.html")
        if "content-length" in fields and fields.get("content-encoding") == coding:
            break
        time.sleep(0.01)
    (root / f"{name}.png").write_bytes(os.urandom(len(content)))
    heads = []
    for path in (f"/{name}.png", f"/{name}.html"):
        client.get(path)
        before = client.read
        _, fields, again = client.get(path)
        if len(again) != len(content) or "; hit" not in fields["cache-status"]:
            raise RuntimeError(f"{path}: {len(again)} bytes, {fields}")
        heads.append(client.read - before - len(again))
    return (f"/{name}.png", f"/{name}.html"), len(content), heads


KINDS = (("br", 4_000), ("br", 40_000), ("br", 400_000), ("zstd", 40_000), ("gzip", 40_000))


def text_of(root, files):
    """A long text: the site's own."""
    return b"".join((root / path[1:]).read_bytes() for path in files if path.endswith(".js"))[:1_000_000]


def cpu(directory, text, options, figures):
    """CPU of a coded hit and of one that is as long and not coded, in turns."""
    root = Path(directory) / "twins"
    root.mkdir(exist_ok=True)
    origin, port = common.free_port(), common.free_port()
    serving = origin_of(directory, origin, root)
    server = forebay(directory, port, origin, MADE, "forebay-cpu")
    rows = []
    for coding, length in KINDS:
        paths, size, heads = twins(directory, port, root, text, coding, length)
        settle(server)
        costs = [[], []]
        for nth in range(options.rounds):
            for at in (0, 1) if nth % 2 == 0 else (1, 0):
                before = server.cpu_seconds()
                h2load(port, paths[at], coding, options.requests, 16)
                costs[at].append((server.cpu_seconds() - before) / options.requests * 1e6)
        ratios = sorted(coded / plain for plain, coded in zip(*costs))
        figures[f"cpu: {coding} {length}"] = {"bytes": size, "heads": heads, "plain_us": costs[0], "coded_us": costs[1]}
        medians = [common.median(of) for of in costs]
        rows.append([coding, f"{size:,}", f"{heads[0]}, {heads[1]}", *(f"{of:.2f}" for of in medians)])
        rows[-1] += [f"{common.median(ratios):.3f}", f"{ratios[0]:.2f}-{ratios[-1]:.2f}"]
        # The least of many rounds is what others on the machine disturbed least.
        rows[-1].append(f"{min(costs[1]) / min(costs[0]):.3f}")
    server.stop()
    serving.stop()
    print(f"\nCPU of a hit, {options.requests} requests, {options.rounds} rounds in turns")
    heads = ["", "bytes", "heads", "plain, us", "coded, us", "ratio", "of rounds", "of the least"]
    common.table(heads, rows)


def instructions(directory, text, figures):
    """The same in instructions, which do not depend on who else uses the machine."""
    root = Path(directory) / "counted"
    root.mkdir(exist_ok=True)
    origin, port = common.free_port(), common.free_port()
    serving = origin_of(directory, origin, root)
    out = Path(directory) / "callgrind.out"
    under = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    server = forebay(directory, port, origin, MADE, "forebay-counted", workers=1, under=under)
    requests, rows = 5_000, []

    def control(*words):
        command = ["callgrind_control", *words, str(server.process.pid)]
        subprocess.run(command, check=True, capture_output=True)

    def counted(path, coding):
        control("-i", "on")
        control("-z")
        h2load(port, path, coding, requests, 1)
        for file in Path(directory).glob("callgrind.out.*"):
            file.unlink()
        control("-d")
        control("-i", "off")
        [dump] = Path(directory).glob("callgrind.out.*")
        return sum(int(of) for of in re.findall(r"(?m)^(?:summary|totals): (\d+)", dump.read_text())[:1]) / requests

    for coding, length in KINDS:
        paths, size, heads = twins(directory, port, root, text, coding, length)
        settle(server)
        h2load(port, paths[0], coding, 500, 1)
        plain, coded = (counted(path, coding) for path in paths)
        figures[f"instructions: {coding} {length}"] = {"bytes": size, "heads": heads, "plain": plain, "coded": coded}
        rows.append([coding, f"{size:,}", f"{heads[0]}, {heads[1]}", f"{plain:,.0f}", f"{coded:,.0f}", f"{coded / plain:.3f}"])
    server.stop()
    serving.stop()
    print(f"\ninstructions of a hit, {requests} requests to one worker")
    common.table(["", "bytes", "heads", "plain", "coded", "ratio"], rows)


def main():
    parser = common.argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="this alone; may be repeated")
    parser.add_argument("--package", default="three@0.170.0")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--directory", default="/var/tmp")
    parser.add_argument("--binary")
    parser.add_argument("--json")
    options = parser.parse_args()
    parts = options.part or PARTS
    common.stop_cleanly()
    common.choose_forebay(options.binary)
    figures = {"machine": common.machine()}
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        # nginx's workers are other users than who made the directory.
        os.chmod(directory, 0o755)
        root, files = fetched(directory, options.package)
        if "site" in parts:
            site(directory, root, files, figures)
        if "first" in parts:
            first(directory, options.samples, figures)
        if "cpu" in parts:
            cpu(directory, text_of(root, files), options, figures)
        if "instructions" in parts:
            instructions(directory, text_of(root, files), figures)
        common.stop_all()
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
