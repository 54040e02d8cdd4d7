#!/usr/bin/env python3
"""Forebay beside its peers, row by row.

    python3 benches/compare [--quick] [--rows NAME...] [--only NAME]... [--rounds 3] [--seconds 4]
                            [--variant NAME=FLAGS]... [--json FILE] [--markdown FILE] [--goals FILE] [--list]

docs/performance.md has the method. Exit codes: 0, 1 a goal was missed, 2 an option or the goals file makes no sense,
3 a figure of Forebay could not be taken.
"""

import json
import re
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the checkout clean
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import common  # noqa: E402
from compare import goals, markdown, options, programs, report  # noqa: E402
from compare.bench import Bench  # noqa: E402
from compare.figures import valid  # noqa: E402
from compare.rows import all_rows  # noqa: E402
from compare.servers import all_servers  # noqa: E402


def main():
    """Reads the command line, prepares, runs the rows, reports; returns the exit code."""
    rows, servers = {row.name: row for row in all_rows()}, all_servers()
    parser = options.parser(rows, [s.name for s in servers])
    args = parser.parse_args()
    servers = [s for s in servers if not args.only or s.name in args.only] + args.variant
    if args.list:
        return list_all(rows, servers)
    chosen = [row for name, row in rows.items() if (name in args.rows if args.rows else row.quick or not args.quick)]
    try:
        aims = goals.read(args.goals, rows, [s.name for s in all_servers() + args.variant])
    except goals.BadGoals as error:
        parser.error(str(error))
    common.stop_cleanly()
    programs.install(programs.missing(servers, chosen))
    programs.build(args.binary, any(s.role == "forebay" for s in servers))

    conditions = common.machine() | {
        "date": time.strftime("%Y-%m-%d"),
        "rounds": args.rounds or (2 if args.quick else 3),
        "seconds": args.seconds or (1 if args.quick else 4),
        "quick": args.quick,
        "versions": programs.versions(servers),
    }
    warn_of_load(conditions)
    outcomes = run(chosen, servers, conditions, args.directory)
    verdicts = [goals.judge(aim, outcomes.get(aim.row)) for aim in aims]
    for verdict in verdicts:
        print(verdict.text())
    write(args, conditions, outcomes, verdicts)
    return exit_code(outcomes, verdicts)


def list_all(rows, servers):
    """Prints what there is."""
    for row in rows.values():
        print(f"{row.name:12} {row.title}{' (quick)' if row.quick else ''}")
    print("\n" + ", ".join(s.name for s in servers))
    return 0


def warn_of_load(conditions):
    """A compiler beside a bench costs more than any change that is to be measured."""
    if conditions["load_before"] > 0.5:
        load = conditions["load_before"]
        print(f"load {load:.1f}: something else is running; do not quote these figures", flush=True)


def run(rows, servers, conditions, directory):
    """Runs the rows one after the other, and shows each when it is done."""
    outcomes, began = {}, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="forebay-compare-", dir=directory) as place:
        bench = Bench(Path(place), conditions["rounds"], conditions["seconds"], conditions["quick"])
        try:
            for row in rows:
                outcomes[row.name] = row.play(bench, [s for s in servers if s.takes_part(row.name)])
                report.show(outcomes[row.name])
        finally:
            bench.stop()
    print(f"took {time.monotonic() - began:,.0f} s\n", flush=True)
    return outcomes


def write(args, conditions, outcomes, verdicts):
    """JSON and markdown, where they are asked for."""
    if args.json:
        data = {"bench": "compare", "conditions": conditions}
        data["rows"] = {name: report.as_data(outcome) for name, outcome in outcomes.items()}
        data["goals"] = [{"goal": vars(v.goal), "rounds": v.values, "missed": v.missed, "unjudged": v.unjudged}
                         for v in verdicts]
        Path(args.json).write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    if args.markdown:
        text = markdown.tables(list(outcomes.values()), in_words(conditions))
        if args.markdown == "-":
            print(text)
        else:
            Path(args.markdown).write_text(text + "\n")


def in_words(conditions):
    """The line before the tables."""
    rounds = f"{conditions['rounds']} round{'s' if conditions['rounds'] > 1 else ''} of {conditions['seconds']} s"
    return (f"{conditions['date']}, {conditions['cpus']} cores, Linux {conditions['kernel']}, load before "
            f"{conditions['load_before']:.2f}, {rounds}; {versions(conditions)}. The best peer's figure is **bold**.")


def versions(conditions):
    """Names of the servers with the number in what they say of themselves."""
    found = {name: re.search(r"\d+(\.\d+)+", said) for name, said in sorted(conditions["versions"].items())}
    return ", ".join(f"{name} {number[0]}" for name, number in found.items() if number)


def exit_code(outcomes, verdicts):
    """1: a goal was missed; 3: Forebay has no valid round somewhere."""
    if any(v.missed for v in verdicts):
        return 1
    ours = [rounds for o in outcomes.values() for name, rounds in o.rounds.items() if o.roles[name] == "forebay"]
    return 0 if all(map(valid, ours)) else 3


if __name__ == "__main__":
    sys.exit(main())
