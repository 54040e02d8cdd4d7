#!/usr/bin/env python3
"""The admin API, held against its own description: schemathesis reads /openapi.json of a running node and asks whatever that
allows, and what it does not. No answer may be one that is not described, or a failure of the node.

    python3 tests/openapi [--forebay BINARY] [--examples N] [RUN...]

schemathesis comes from PyPI, once, into Cargo's target folder. What it generates is the same each time. The last line is
"openapi: N passed, N failed"; exit codes: 0; 1 a run failed; 2 they could not be run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance import environment, node_under_test  # noqa: E402
from conformance.process import Trouble, server  # noqa: E402

VERSION = "4.32.5"
TOKEN = "0123456789abcdef-of-a-test"
# A text may be no URL, or one that no site answers for, or a glob that is too long: no schema says which.
TEXTS = ("/v1/explain", "/v1/objects", "/v1/purge")
REJECTED = [200, 400, 401, 403, 404, 409, 422, 429]


def main():
    """Reads the command line and runs; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests/openapi", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--forebay", type=Path, metavar="BINARY", help="this binary, instead of building one")
    parser.add_argument("--examples", type=int, default=50, metavar="N", help="how many for each operation")
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"only these of {', '.join(RUNS)}")
    args = parser.parse_args()
    try:
        tool = environment.having("schemathesis", VERSION) / "bin" / "st"
        binary = args.forebay.resolve() if args.forebay else node_under_test.build()
        return run(tool, binary, args)
    except Trouble as trouble:
        print(f"openapi: {trouble}", file=sys.stderr)
        return 2


def known(origin):
    """What is there: every operation has to be reached."""
    parameters = {
        "path.pool": "app",
        "path.endpoint": f"127.0.0.1:{origin}",
        "query.url": "http://shop.test/page",
        "query.method": "GET",
    }
    return {"parameters": parameters, "warnings": {"display": True, "fail-on": True}}, TOKEN


def anything(_origin):
    """Whatever the description allows, and what it does not."""
    return {"warnings": False}, TOKEN


def refused(_origin):
    """With a wrong token: 401, and 429 once there were too many."""
    return {"warnings": False}, "0123456789abcdef-is-wrong"


RUNS = {"known": known, "anything": anything, "refused": refused}


def run(tool, binary, args):
    """Runs each on a node of its own; returns the exit code."""
    begin, failed, chosen = time.monotonic(), [], args.runs or list(RUNS)
    for name in chosen:
        print(f"== {name}", flush=True)
        if not holds(tool, binary, RUNS[name], args.examples):
            failed.append(name)
            print(f"FAILED {name}")
    print(f"== {time.monotonic() - begin:.0f} s")
    print(f"openapi: {len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def holds(tool, binary, prepared, examples):
    """Whether the node answers as described, and lives."""
    with tempfile.TemporaryDirectory() as name, origin() as port:
        directory = Path(name)
        settings, token = prepared(port)
        with node(binary, port, directory) as (public, admin):
            warm(public)
            ended = subprocess.run(
                [tool, "run", f"http://127.0.0.1:{admin}/openapi.json", *flags(directory, settings, token, examples)],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                timeout=300,
            )
            alive = urllib.request.urlopen(f"http://127.0.0.1:{admin}/healthz", timeout=10).status == 200
        log = (directory / "forebay.log").read_text(errors="replace")
    if "panicked" in log:
        print(log)
    return ended.returncode == 0 and alive and "panicked" not in log


def flags(directory, settings, token, examples):
    """What schemathesis is told, beside the file that it looks for in its directory."""
    (directory / "schemathesis.toml").write_text(configuration(settings))
    checks = "--checks all --workers 1 --seed 1 --generation-deterministic --continue-on-failure --no-color"
    return ["-H", f"Authorization: Bearer {token}", "--max-examples", str(examples), *checks.split()]


def configuration(settings):
    """The text of schemathesis.toml."""
    lines = []
    if settings["warnings"] is False:
        lines.append("warnings = false")
    else:
        lines.append("[warnings]\nfail-on = true")
    if parameters := settings.get("parameters"):
        lines.append("[parameters]")
        lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in parameters.items()]
    for path in TEXTS:
        lines.append(f"[[operations]]\ninclude-path = {json.dumps(path)}")
        lines.append(f"checks.positive_data_acceptance.expected-statuses = {REJECTED}")
    return "\n".join(lines) + "\n"


@contextmanager
def node(binary, origin, directory):
    """Runs a node while the block runs; gives its port and that of its admin listener."""
    file = directory / "forebay.toml"
    file.write_text(
        "\n".join(
            [
                '[[listeners]]\naddress = "127.0.0.1:0"',
                '[admin]\naddress = "127.0.0.1:0"\ntoken = { env = "FOREBAY_ADMIN_TOKEN" }',
                '[log]\naccess = "off"',
                '[disk]\ndirectory = "cache"\nlimit = "64MiB"',
                '[sites.shop]\nhosts = ["shop.test"]\npool = "app"',
                f'[pools.app]\nendpoints = ["http://127.0.0.1:{origin}", "http://127.0.0.1:1"]\n',
            ]
        )
    )
    command, log = [binary, "serve", "--config", file], directory / "forebay.log"
    env = os.environ | {"FOREBAY_ADMIN_TOKEN": TOKEN, "NO_COLOR": "1"}
    said = r"listening on http://\S+:(\d+)\b[\s\S]*admin on http://"
    with server(command, log, said, env=env) as public:
        admin = log.read_text().split("admin on http://127.0.0.1:")[1].split()[0]
        yield int(public), int(admin)


def warm(public):
    """Has the node store something."""
    for _ in range(100):
        asked = urllib.request.Request(f"http://127.0.0.1:{public}/page", headers={"Host": "shop.test"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            answer.read()


@contextmanager
def origin():
    """A server of one cacheable page while the block runs; gives its port."""

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            for name, value in [("Cache-Control", "max-age=600"), ("Vary", "X-Kind"), ("Content-Length", "4")]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"page")

        def log_message(self, *_):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    serving.daemon_threads = True
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield serving.server_address[1]
    finally:
        serving.shutdown()
        serving.server_close()


if __name__ == "__main__":
    sys.exit(main())
