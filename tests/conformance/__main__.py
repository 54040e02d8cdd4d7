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

from conformance import document, node_under_test, outcomes, reasons, scoring, suite  # noqa: E402
from conformance.process import Trouble  # noqa: E402


def main():
    """Reads the command line, runs, reports; returns the exit code."""
    args = options().parse_args()
    try:
        return run(args)
    except (Trouble, reasons.BadReasons) as trouble:
        print(f"conformance: {trouble}", file=sys.stderr)
        return 2


def options():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/conformance", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--suite", default="npm", metavar="npm|FOLDER", help="the published package, or a checkout")
    parser.add_argument("--config", choices=outcomes.CONFIGS, help="one configuration alone")
    parser.add_argument("--forebay", type=Path, metavar="BINARY", help="this binary, instead of building one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write states and the client's messages here")
    docs = parser.add_mutually_exclusive_group()
    docs.add_argument("--check-docs", action="store_true", help="fail if docs/conformance.md is out of date")
    docs.add_argument("--write-docs", action="store_true", help="write this run into docs/conformance.md")
    parser.add_argument("--id", metavar="TEST", help="run one test and show its dialogue")
    return parser


def run(args):
    """Runs the suite in each configuration; returns the exit code."""
    told = reasons.read()
    chosen = suite.from_npm(node_under_test.target() / "conformance") if args.suite == "npm" else suite.Suite(args.suite)
    binary = args.forebay.resolve() if args.forebay else node_under_test.build()
    tests, found, messages = chosen.tests(), {}, {}
    for config in [args.config] if args.config else outcomes.CONFIGS:
        begin = time.monotonic()
        results = exchange(chosen, binary, config, args.id or "")
        if args.id:
            print(results)
            continue
        found[config] = outcomes.of_run(tests, scoring.states(tests, results))
        messages[config] = results
        report(chosen, config, found[config], results, time.monotonic() - begin)
    return 0 if args.id else finish(args, chosen, told, found, messages)


def finish(args, chosen, told, found, messages):
    """Writes what is asked for, compares with what is told, and says the last line; returns the exit code."""
    if args.json:
        args.json.write_text(json.dumps(as_json(chosen, found, messages), indent=1))
    record = outcomes.put(outcomes.read(), chosen.cut, chosen.version, found)
    if args.write_docs:
        outcomes.write(record)
        document.FILE.write_text(document.render(record, told))
    wrong = [
        f"{config}: {line}" for config in found for line in reasons.differences(told, chosen.cut, config, found[config])
    ]
    if args.check_docs and (record != outcomes.read() or document.FILE.read_text() != document.render(record, told)):
        wrong.append("docs/conformance.md does not tell what this run showed: run again with --write-docs")
    for line in wrong:
        print(f"NOT AS TOLD {line}")
    passed = sum(outcome.state == scoring.PASS for config in found for outcome in found[config] if outcome.listed)
    print(f"conformance: {passed} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def as_json(chosen, found, messages):
    """Everything that the run showed."""
    return {
        "cut": chosen.cut,
        "version": chosen.version,
        "configs": {
            config: {
                outcome.id: {"kind": outcome.kind, "state": outcome.state, "client": messages[config].get(outcome.id)}
                for outcome in found[config]
            }
            for config in found
        },
    }


def exchange(chosen, binary, config, id):
    """What the suite's client says of Forebay in this configuration."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with chosen.server(directory) as origin, node_under_test.forebay(binary, config, origin, directory) as port:
            return chosen.client(f"http://127.0.0.1:{port}", id)


def report(chosen, config, found, results, seconds):
    """Prints the scores, and what has not passed."""
    print(f"== {chosen.cut} {chosen.version}, {config}: {seconds:.0f} s")
    for kind in scoring.KINDS:
        print(f"{kind:>9} {scoring.score(found, kind)}")
    for kind in scoring.KINDS:
        for outcome in outcomes.not_passed(found):
            if outcome.kind == kind:
                print(f"  {kind:<9}{outcome.state:<11}{outcome.id}: {message(outcome, results.get(outcome.id))}")


def message(outcome, result):
    """The client's message in one line, or what kept the test from counting."""
    if outcome.roots:
        return f"needs {', '.join(outcome.roots)}"
    return " ".join(result[1].split()) if isinstance(result, list) else str(result)


if __name__ == "__main__":
    sys.exit(main())
