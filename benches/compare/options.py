"""The command line."""

import argparse
from pathlib import Path

from .servers import parse_variant

GOALS = Path(__file__).resolve().parent / "goals.toml"


def variant(text):
    """NAME=FLAGS, or why not."""
    try:
        return parse_variant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parser(rows, servers):
    """All options; rows and servers are their names."""
    out = argparse.ArgumentParser(prog="benches/compare", description="Forebay beside its peers, row by row.")
    out.add_argument("--only", action="append", choices=servers, metavar="NAME", help="this server; may be repeated")
    out.add_argument("--rows", nargs="+", choices=rows, metavar="NAME", help="these rows; --list shows them")
    out.add_argument("--rounds", type=positive, help="by default 3; quick 2")
    out.add_argument("--seconds", type=positive, help="of each run; by default 4, quick 1")
    out.add_argument("--quick", action="store_true", help="four rows, small, in under three minutes")
    out.add_argument(
        "--variant", action="append", type=variant, default=[], metavar="NAME=FLAGS",
        help="Forebay once more, with these flags; {place} in them is its own directory",
    )
    out.add_argument("--binary", metavar="PATH", help="this forebay, instead of building one")
    out.add_argument("--goals", metavar="FILE", default=GOALS, help="by default benches/compare/goals.toml")
    out.add_argument("--json", metavar="FILE", help="write all figures there")
    out.add_argument("--markdown", metavar="FILE", help="write the tables of docs/performance.md there; - prints them")
    out.add_argument("--directory", metavar="DIR", default="/var/tmp", help="where servers keep files; a real disk")
    out.add_argument("--list", action="store_true", help="list rows and servers, and end")
    return out


def positive(text):
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number
