#!/usr/bin/env python3
"""gRPC, with Forebay between a real client and a real server: calls of all four kinds, what goes with them, and what
goes wrong.

    python3 tests/grpc [--forebay BINARY] [CASE...]

grpcio comes from PyPI, once, into Cargo's target folder. Each case runs in the clear and by TLS on both sides. The last
line is "grpc: N passed, N failed"; exit codes: 0; 1 a case failed; 2 they could not be run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance import environment, node_under_test  # noqa: E402
from conformance.process import Trouble  # noqa: E402

VERSION = "1.85.3"


def main():
    """Reads the command line and runs the cases; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests/grpc", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--forebay", type=Path, metavar="BINARY", help="this binary, instead of building one")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these cases")
    args = parser.parse_args()
    try:
        with_grpcio()
        binary = args.forebay.resolve() if args.forebay else node_under_test.build()
        return run(binary, args.cases)
    except Trouble as trouble:
        print(f"grpc: {trouble}", file=sys.stderr)
        return 2


def with_grpcio():
    """Goes on in an environment that has grpcio, which is made if it is not there."""
    place = environment.having("grpcio", VERSION)
    python = place / "bin" / "python3"
    if Path(sys.prefix) == place.resolve():
        return
    sys.stdout.flush()
    os.execv(python, [python, str(Path(__file__).resolve().parent), *sys.argv[1:]])


def run(binary, chosen):
    """Runs the cases over both kinds of connections; returns the exit code."""
    from grpc_suite import CASES, Setting

    passed, failed = 0, 0
    for by_tls in (False, True):
        with tempfile.TemporaryDirectory() as name, Setting(binary, Path(name), by_tls) as setting:
            for case in CASES:
                if chosen and case.__name__ not in chosen:
                    continue
                said = f"{case.__name__} {'by TLS' if by_tls else 'in the clear'}"
                try:
                    case(setting)
                    passed += 1
                except Exception:  # noqa: BLE001: whatever is wrong is told, and the other cases run
                    failed += 1
                    print(f"FAILED {said}\n{traceback.format_exc()}")
            if failed:
                print(setting.log())
    print(f"grpc: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
