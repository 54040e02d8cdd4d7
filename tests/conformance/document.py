"""docs/conformance.md, written from the record of the runs and the file of reasons."""

import tomllib

from .node_under_test import OPTIONS, ROOT
from .outcomes import CONFIGS, CUTS, not_passed
from .scoring import DEPENDENCY, NO, YES, score

FILE = ROOT / "docs" / "conformance.md"

# The best of nginx, Varnish, HAProxy, Traffic Server, Squid, httpd, Caddy and Fastly at the current cut, counted as here.
BEST_PEER = {"required": 133, "optimal": 73}
CALLED = {"npm": "npm cut", "current": "current cut"}

HEAD = """\
# Conformance

The public HTTP cache tests ([http-tests/cache-tests](https://github.com/http-tests/cache-tests)) with Forebay between \
their client and their server. `required` tests are what HTTP demands of a cache, `optimal` ones what a good cache \
does beside that; a `check` asks how a cache behaves where several ways are right. A test counts as passed only if \
every test that it depends on has passed too, as the suite's own display counts. The suite says itself that passing \
it proves no conformance; it is a comparison.

This page is written by the runs it tells of: `--write-docs` below. Do not edit it.
"""

RUN = """\
## How to run it

```
python3 tests/conformance                                # the npm cut, both configurations, as CI does
python3 tests/conformance --suite FOLDER --write-docs    # a checkout of the suite; then this page and its record
python3 tests/conformance --config default --id TEST     # one test, and its dialogue
```

Node.js 18.19 or newer is needed. The npm cut is installed from the registry into Cargo's target directory, without \
scripts. A checkout is yours to fetch, with the packages `undici` and `liquidjs` where its programs find them, and is \
never part of this repository. Clients pause for real seconds while answers grow stale: a run of the npm cut takes \
about 13 s for each configuration, one of the current cut about 50 s.

A run fails if a test that is not named in `tests/conformance/reasons.toml` does not pass, if one that is named there \
passes, and if a check is answered otherwise than it says there. The suite's messages of single tests are in `--json FILE`.
"""


def render(record, reasons):
    """The document's text."""
    parts = [HEAD, scores(record), configurations(), RUN, failing(record, reasons), checks(record, reasons)]
    return "\n".join(parts)


def scores(record):
    """The table of scores."""
    lines = ["## Scores", "", "| | required | optimal | checks answered |", "|---|---|---|---|"]
    for cut in reversed([cut for cut in CUTS if cut in record]):
        for config, outcomes in record[cut]["configs"].items():
            cells = [str(score(outcomes, kind)) for kind in ("required", "optimal", "check")]
            lines.append(f"| {CALLED[cut]}, {config} | {' | '.join(cells)} |")
        if cut == "current":
            best = [f"{BEST_PEER[kind]} of {score(outcomes, kind).total}" for kind in ("required", "optimal")]
            lines.append(f"| {CALLED[cut]}, best peer | {' | '.join(best)} | |")
    lines.append("")
    if "current" in record:
        lines.append(f"The current cut is commit `{record['current']['version']}`.")
    if "npm" in record:
        lines.append(f"The npm cut is the package `http-cache-tests` {record['npm']['version']}.")
        lines.extend(beside(record["npm"]["configs"]))
    lines += [
        "The best peer is Apache Traffic Server, measured in November 2026 the same way; httpd came to 131 and 68, Squid "
        "to 121 and 58, Varnish to 119 and 45, nginx to 100 and 58, HAProxy to 89 and 39. No proxy at all comes to 22 "
        "and 0, which is why dependencies are counted.",
        "",
    ]
    return "\n".join(lines)


def beside(configs):
    """What the npm cut has beside its own list."""
    for config, outcomes in configs.items():
        extra = [outcome for outcome in outcomes if not outcome.listed]
        if extra:
            told = ", ".join(f"{kind} {score(outcomes, kind, False)}" for kind in ("required", "optimal"))
            yield f"Its tests of `Surrogate-Control`, which its own list leaves out, come to {told} ({config})."


def configurations():
    """The two configurations."""
    options = [
        f"`{key} = {toml_value(value)}`" for table in tomllib.loads(OPTIONS.read_text()).values()
        for key, value in table.items()
    ]
    return (
        "## Configurations\n\n`default` says the site's host and its origin, nothing else. `options` says beside that, "
        f"in `[cache]`: {', '.join(options)}. Each is a choice that HTTP leaves to the operator and that the defaults "
        "leave off.\n"
    )


def toml_value(value):
    """A value as TOML writes it, for the few kinds that options have."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(toml_value, value))}]" if isinstance(value, list) else f'"{value}"'


def failing(record, reasons):
    """The tests that are not passed, those of one reason together."""
    rows = {}
    for cut, config, outcome in everything(record):
        if outcome in not_passed([outcome]):
            key = outcome.id, outcome.kind
            rows.setdefault(key, {}).setdefault(why(reasons, cut, config, outcome), set()).add((cut, config))
    table = {}
    for (id, kind), found in rows.items():
        for reason, where in found.items():
            table.setdefault((kind, reason, places(where, record)), []).append(f"`{id}`")
    lines = ["## Tests that are not passed", ""]
    if not table:
        return "\n".join([*lines, "None.", ""])
    lines += ["| kind | tests | where | why |", "|---|---|---|---|"]
    for kind in ("required", "optimal"):
        for (of_kind, reason, where), ids in table.items():
            if of_kind == kind:
                lines.append(f"| {kind} | {', '.join(ids)} | {where} | {reason} |")
    return "\n".join([*lines, ""])


def checks(record, reasons):
    """Our answers to the behaviour checks."""
    table = {}
    rows = {}
    for cut, config, outcome in everything(record):
        if outcome.kind == "check" and outcome.listed:
            answer = outcome.state if outcome.state in (YES, NO) else "–"
            key = answer, why(reasons, cut, config, outcome)
            rows.setdefault(outcome.id, {}).setdefault(key, set()).add((cut, config))
    for id, found in rows.items():
        for (answer, reason), where in found.items():
            table.setdefault((answer, reason, places(where, record)), []).append(f"`{id}`")
    lines = ["## Behaviour checks", "", "`–` is a check that could not ask its question.", ""]
    lines += ["| checks | answer | where | why |", "|---|---|---|---|"]
    lines += [f"| {', '.join(ids)} | {answer} | {where} | {reason} |" for (answer, reason, where), ids in table.items()]
    return "\n".join([*lines, ""])


def everything(record):
    """Every outcome of the record, with its cut and configuration, the current cut first."""
    for cut in reversed([cut for cut in CUTS if cut in record]):
        for config, outcomes in record[cut]["configs"].items():
            for outcome in outcomes:
                yield cut, config, outcome


def why(reasons, cut, config, outcome):
    """The reason that is told, or that of the tests it depends on."""
    if reason := reasons.of(cut, config, outcome.id):
        return " ".join(reason.why.split()).replace("|", "\\|")
    if outcome.state == DEPENDENCY:
        return f"needs {', '.join(f'`{root}`' for root in outcome.roots)}"
    return "not told yet"


def places(where, record):
    """Cuts and configurations in words, a cut's name alone if it is both of its configurations."""
    told = []
    for cut in reversed(CUTS):
        configs = [config for config in CONFIGS if (cut, config) in where]
        if configs:
            all_there = cut in record and len(configs) == len(record[cut]["configs"])
            told.append(cut if all_there else f"{cut} ({', '.join(configs)})")
    return ", ".join(told)
