"""What became of each test of a cut in one configuration, and the record of it that the document is written from."""

import json
from dataclasses import dataclass
from pathlib import Path

from . import scoring
from .scoring import PASS, UNTESTED

RECORD = Path(__file__).resolve().parent / "results.json"
CUTS = ("npm", "current")
CONFIGS = ("default", "options")


@dataclass(frozen=True)
class Outcome:
    """One test and its state; `roots` are the tests that kept it from being judged, if its dependencies did."""

    id: str
    kind: str
    state: str
    roots: tuple = ()
    listed: bool = True


def of_run(tests, states):
    """The outcomes of a run, in the suite's order."""
    return [
        Outcome(
            test.id,
            test.kind,
            states[test.id],
            tuple(sorted(scoring.roots(test, tests, states) - {test.id})),
            test.listed,
        )
        for test in tests
    ]


def not_passed(outcomes):
    """The required and optimal tests of the suite's list that have not passed."""
    return [outcome for outcome in outcomes if outcome.listed and outcome.kind != "check" and outcome.state != PASS]


def read(path=RECORD):
    """The record: by cut, its version and the outcomes by configuration."""
    said = json.loads(path.read_text()) if path.is_file() else {}
    return {
        cut: {
            "version": part["version"],
            "configs": {config: [from_row(row, config) for row in part["tests"]] for config in part["configs"]},
        }
        for cut, part in said.items()
    }


def from_row(row, config):
    """One outcome out of the record's line of a test."""
    roots = tuple(row.get("roots", {}).get(config, ()))
    return Outcome(row["id"], row["kind"], row.get(config, UNTESTED), roots, row.get("listed", True))


def put(record, cut, version, configs):
    """The record with the outcomes of a run in the place of earlier ones; those of another version go."""
    part = record.get(cut)
    earlier = part["configs"] if part and part["version"] == version else {}
    return record | {cut: {"version": version, "configs": earlier | configs}}


def write(record, path=RECORD):
    """Writes the record, a line for each test, so that a change shows as one."""
    parts = []
    for cut in sorted(record, key=CUTS.index):
        configs = {config: record[cut]["configs"][config] for config in CONFIGS if config in record[cut]["configs"]}
        rows = ",\n".join(json.dumps(row) for row in to_rows(configs))
        head = f'"{cut}": {{"version": {json.dumps(record[cut]["version"])}, "configs": {json.dumps(list(configs))},'
        parts.append(f'{head} "tests": [\n{rows}\n]}}')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def to_rows(configs):
    """The record's line of each test."""
    by_id = {config: {outcome.id: outcome for outcome in outcomes} for config, outcomes in configs.items()}
    for first in next(iter(configs.values())):
        found = {config: outcomes[first.id] for config, outcomes in by_id.items()}
        row = {"id": first.id, "kind": first.kind} | ({} if first.listed else {"listed": False})
        row |= {config: outcome.state for config, outcome in found.items()}
        roots = {config: outcome.roots for config, outcome in found.items() if outcome.roots}
        yield row | ({"roots": roots} if roots else {})
