#!/usr/bin/env python3
"""The public HTTP cache tests, with Forebay between their client and their server.

    python3 tests/conformance [--suite npm|FOLDER] [--config default|options] [--forebay BINARY]
                              [--json FILE] [--check-docs | --write-docs] [--id TEST]

docs/conformance.md has the scores and says more. Exit codes: 0; 1 a test is not as reasons.toml tells, or with
--check-docs the document is not; 2 the tests could not be run.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance import node_under_test, scoring, suite  # noqa: E402
from conformance.process import Trouble  # noqa: E402


def main():
    """Reads the command line, runs, reports; returns the exit code."""
    args = options().parse_args()
    try:
        return run(args)
    except Trouble as trouble:
        print(f"conformance: {trouble}", file=sys.stderr)
        return 2


def options():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/conformance", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--suite", default="npm", metavar="npm|FOLDER", help="the published package, or a checkout")
    parser.add_argument("--config", choices=node_under_test.CONFIGS, help="one configuration alone")
    parser.add_argument("--forebay", type=Path, metavar="BINARY", help="this binary, instead of building one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write states and the client's messages here")
    parser.add_argument("--id", metavar="TEST", help="run one test and show its dialogue")
    return parser


def run(args):
    """Runs the suite in each configuration; returns the exit code."""
    chosen = suite.from_npm(node_under_test.target() / "conformance") if args.suite == "npm" else suite.Suite(args.suite)
    binary = args.forebay.resolve() if args.forebay else node_under_test.build()
    tests = chosen.tests()
    told = {}
    for config in [args.config] if args.config else node_under_test.CONFIGS:
        begin = time.monotonic()
        results = exchange(chosen, binary, config, args.id or "")
        if args.id:
            print(results)
            continue
        states = scoring.states(tests, results)
        report(chosen, config, tests, states, results, time.monotonic() - begin)
        told[config] = {
            test.id: {"kind": test.kind, "state": states[test.id], "client": results.get(test.id)} for test in tests
        }
    if args.json:
        args.json.write_text(json.dumps({"cut": chosen.cut, "version": chosen.version, "configs": told}, indent=1))
    return 0


def exchange(chosen, binary, config, id):
    """What the suite's client says of Forebay in this configuration."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with chosen.server(directory) as origin, node_under_test.forebay(binary, config, origin, directory) as port:
            return chosen.client(f"http://127.0.0.1:{port}", id)


def report(chosen, config, tests, states, results, seconds):
    """Prints the scores, and what has not passed."""
    print(f"== {chosen.cut} {chosen.version}, {config}: {seconds:.0f} s")
    for kind in scoring.KINDS:
        print(f"{kind:>9} {scoring.score(tests, states, kind)}")
    for test in scoring.not_passed(tests, states):
        print(f"  {test.kind:<9}{states[test.id]:<11}{test.id}: {message(results.get(test.id))}")


def message(result):
    """The client's message in one line."""
    return " ".join(result[1].split()) if isinstance(result, list) else "its own question was answered well"


if __name__ == "__main__":
    sys.exit(main())
