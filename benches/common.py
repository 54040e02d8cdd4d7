"""What the benches share: free ports, servers as child processes, their CPU time, and a table.

Everything runs on loopback, in a temporary directory, and is stopped by process id.
"""

import argparse
import atexit
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")


def stop_cleanly():
    """Makes SIGTERM end the bench through its `finally` blocks, so that it stops what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def free_port():
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


forebay_binary = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "forebay"


def choose_forebay(binary):
    """Takes this binary, or builds the release one; ends the bench if there is none."""
    global forebay_binary
    if binary:
        forebay_binary = Path(binary).resolve()
    elif subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT).returncode != 0:
        sys.exit("cargo build --release failed; bench the others with --only")
    if not forebay_binary.exists():
        sys.exit(f"no {forebay_binary}; bench the others with --only")


class Server:
    """A server process, its children, and what it wrote to its log. Those that are left at the end are stopped."""

    running = []

    def __init__(self, name, command, port, directory):
        self.name, self.port = name, port
        self.log = Path(directory) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        Server.running.append(self)

    def wait_ready(self, seconds=10):
        """Waits until its port accepts a connection."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        said = self.log.read_text(errors="replace")
        self.stop()
        raise RuntimeError(f"{self.name} does not listen on port {self.port}; it said:\n{said}")

    def pids(self):
        """Its process and all below it."""
        parents = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                parents[int(entry)] = int(stat_fields(entry)[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        family = {self.process.pid}
        while more := {p for p, parent in parents.items() if parent in family} - family:
            family |= more
        return family

    def cpu_seconds(self):
        """User and system time of all its processes so far."""
        total = 0
        for pid in self.pids():
            try:
                fields = stat_fields(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def stop(self):
        """SIGTERM, and SIGKILL for what is left after five seconds."""
        if self in Server.running:
            Server.running.remove(self)
        family = self.pids() if self.process.poll() is None else set()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in family:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            self.process.wait(5)


@atexit.register
def stop_all():
    """Stops what a signal at a bad moment left behind."""
    for server in list(Server.running):
        server.stop()


def stat_fields(pid):
    """The fields of /proc/PID/stat after the process name, beginning with its state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def nginx(directory, name, port, http, workers=1):
    """Starts nginx with these lines in its http block, all its files below `directory`."""
    home = Path(directory) / name
    home.mkdir(exist_ok=True)
    paths = "\n".join(
        f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # An nginx that was started by root would give up its rights and then could not enter our directory.
    user = "user root;" if os.getuid() == 0 else ""
    config = home / "nginx.conf"
    config.write_text(f"""
{user}
worker_processes {workers};
daemon off;
pid {home}/pid;
error_log {home}/error.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    {paths}
    sendfile on;
    tcp_nopush off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    {http}
}}
""")
    return Server(name, [program("nginx"), "-p", home, "-e", home / "error.log", "-c", config], port, directory)


def caching_nginx(directory, port, origin, name="nginx", keys="16m", most="256m", extra="", speaks=""):
    """A caching nginx: two workers, a cache on disk, sendfile, no log; `extra` lines stand in its server block, and
    `speaks` is added where it listens."""
    http = f"""
    access_log off;
    proxy_cache_path {directory}/{name}-cache levels=1:2 keys_zone=hits:{keys} max_size={most} use_temp_path=off;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096{speaks};
        {extra}
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache hits;
        }}
    }}"""
    return nginx(directory, name, port, http, workers=2)


# What makes nginx fastest at small hits: cache files are kept open, and copied, not sendfile'd.
NGINX_TUNED = "open_file_cache max=10000 inactive=600s; sendfile off;"


def haproxy(directory, port, origin, cache_mib=64, largest=1 << 20, speaks=""):
    """HAProxy with its cache in memory, for objects of at most `largest` bytes: two threads. `speaks` is added where it
    listens."""
    config = Path(directory) / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 2
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 60s
    timeout http-keep-alive 600s
    http-reuse always
cache hits
    total-max-size {cache_mib}
    max-object-size {largest}
    max-age 3600
frontend front
    bind 127.0.0.1:{port} backlog 4096{speaks}
    http-request cache-use hits
    http-response cache-store hits
    default_backend back
backend back
    server origin 127.0.0.1:{origin}
""")
    return Server("haproxy", [program("haproxy"), "-db", "-f", config], port, directory)


def traffic_server(home, port, origin, storage_mib, ram_bytes, more=None):
    """Starts Apache Traffic Server from a private directory: one cache file below it, and a RAM cache. `more` are
    records to add, named without `proxy.config`."""
    home = Path(home)
    for name in ("etc", "var", "log", "cache"):
        (home / name).mkdir(parents=True, exist_ok=True)
    places = {"prefix": home, "exec_prefix": "/usr", "bindir": "/usr/bin", "sbindir": "/usr/sbin"}
    places |= {"includedir": "/usr/include", "libdir": "/usr/lib/trafficserver"}
    places |= {"libexecdir": "/usr/lib/trafficserver/modules", "sysconfdir": home / "etc"}
    places |= {name: home / "var" for name in ("localstatedir", "runtimedir")}
    places |= {"logdir": home / "log", "cachedir": home / "cache", "datadir": home / "cache"}
    (home / "runroot.yaml").write_text("".join(f"{name}: {path}\n" for name, path in places.items()))
    records = {
        "http.server_ports": f"STRING {port}:ip-in=127.0.0.1",
        "http.wait_for_cache": "INT 1",
        "exec_thread.autoconfig.scale": "FLOAT 1.0",
        "admin.user_id": "STRING #-1",
        "crash_log_helper": "STRING NULL",
        "cache.ram_cache.size": f"INT {ram_bytes}",
        "log.logging_enabled": "INT 0",
        "url_remap.remap_required": "INT 1",
    } | (more or {})
    lines = [f"CONFIG proxy.config.{name} {value}\n" for name, value in records.items()]
    (home / "etc" / "records.config").write_text("".join(lines))
    (home / "etc" / "storage.config").write_text(f"{home / 'cache'} {storage_mib}M\n")
    (home / "etc" / "remap.config").write_text(f"map / http://127.0.0.1:{origin}/\n")
    allow = "ip_allow: [{apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}]\n"
    (home / "etc" / "ip_allow.yaml").write_text(allow)
    return Server("ats", [program("traffic_server"), f"--run-root={home}"], port, home.parent)


def forebay(directory, port, origin, *more, name="forebay", log=("--access-log", "off")):
    """Starts Forebay in front of an origin; `more` are further options."""
    command = [forebay_binary, "serve", "--origin", f"http://127.0.0.1:{origin}", "--listen", f"127.0.0.1:{port}"]
    return Server(name, [*command, *log, *more], port, directory)


def program(name):
    """The path of a program, which may be in a directory that only root has in its PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        sys.exit(f"{name} is not installed; leave it out with --only")
    return path


def disk_bytes(directory):
    """Bytes of disk that a directory takes."""
    total = 0
    for parent, _, names in os.walk(directory):
        for path in [parent, *(os.path.join(parent, name) for name in names)]:
            try:
                total += os.lstat(path).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def get(port, path):
    """One GET on a connection of its own: (status, header text, body)."""
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while piece := s.recv(65536):
            parts.append(piece)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if re.search(rb"(?im)^transfer-encoding:\s*chunked", head):
        body = unchunk(body)
    return int(head.split()[1]), head.decode("latin-1"), body


def unchunk(data):
    """The content of a whole chunked body."""
    out = []
    while True:
        size, _, data = data.partition(b"\r\n")
        size = int(size.split(b";")[0], 16)
        if size == 0:
            return b"".join(out)
        out.append(data[:size])
        data = data[size + 2 :]


def wrk(port, path, seconds, *more):
    """One run of wrk with two threads and 64 connections; `more` are its script and the script's arguments."""
    command = ["wrk", "-t2", "-c64", f"-d{seconds}s", "--latency"]
    script, arguments = more[:1], more[1:]
    command += [*(f"-s{s}" for s in script), f"http://127.0.0.1:{port}{path}"]
    command += ["--", *map(str, arguments)] if arguments else []
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    if run.returncode != 0:
        sys.exit(f"wrk failed: {run.stdout}{run.stderr}")
    requests, read, unit = re.search(r"(\d+) requests in \S+ ([\d.]+)([KMGT]?)B read", run.stdout).groups()
    requests = int(requests)
    if requests == 0:
        sys.exit(f"nothing was answered on port {port}:\n{run.stdout}")
    return {
        "requests": requests,
        "bytes_read": float(read) * 1024 ** " KMGT".index(unit or " "),
        "rps": float(re.search(r"Requests/sec:\s*([\d.]+)", run.stdout)[1]),
        "p50_ms": latency(run.stdout, 50),
        "p99_ms": latency(run.stdout, 99),
        "trouble": re.findall(r"(?m)^\s*(Non-2xx.*|Socket errors.*)$", run.stdout),
    }


def latency(text, percent):
    """A percentile out of wrk's report, in ms."""
    value, unit = re.search(rf"(?m)^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def machine():
    """What to know about the machine beside the figures."""
    return {"cpus": os.cpu_count(), "load_before": os.getloadavg()[0], "kernel": os.uname().release}


def median(values):
    """The median, or None of nothing."""
    values = list(values)
    return statistics.median(values) if values else None


def table(head, rows):
    """Prints rows in columns, the first to the left and the others to the right."""
    rows = [[str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def options(doc, starters):
    """The command line that every bench has; each adds its own."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--only", action="append", choices=starters, help="this server alone; may be repeated")
    parser.add_argument("--binary", metavar="PATH", help="this forebay, instead of building one")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    return parser
