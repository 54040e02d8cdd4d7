"""The tables of docs/performance.md."""

from .report import Summary, number


def tables(outcomes, conditions):
    """All tables, with a line of the conditions before them."""
    summaries = [Summary(outcome) for outcome in outcomes]
    requests = [s for s in summaries if s.key == "cpu_us"]
    others = [s for s in summaries if s.key != "cpu_us"]
    parts = [conditions]
    if requests:
        parts += ["### Server CPU µs per request (requests/s in thousands)", costs(requests)]
        if timed := [s for s in requests if any(m.get("p50_ms") is not None for m in s.medians.values())]:
            parts += ["### p50 / p99 in ms", latencies(timed)]
    for summary in others:
        parts += [f"### {summary.row.title[0].upper()}{summary.row.title[1:]}", single(summary)]
    if text := reasons(summaries):
        parts += ["### What is missing, and why", text]
    return "\n\n".join(parts)


def markdown(head, rows):
    """A table, its first column to the left and the others to the right."""
    text = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in text)


def columns_of(summaries):
    """Forebay, then peers and references: every server that has a figure in one of the rows."""
    names = {}
    for summary in summaries:
        for name in summary.values:
            role = summary.outcome.roles.get(name)
            if role != "forebay":
                names.setdefault(name, role)
    return ["forebay", *names]


def grid(summaries, cell, last):
    """A row for each summary and for each variant of Forebay in it; `last` is (heading, function)."""
    names = columns_of(summaries)
    heading, final = last
    rows = []
    for summary in summaries:
        variants = [n for n in summary.values if summary.outcome.roles.get(n) == "forebay"]
        for variant in variants or ["forebay"]:
            own = variant == variants[0] if variants else True
            title = summary.row.title if own else f"{summary.row.title}: {variant}"
            cells = [cell(summary, variant), *(cell(summary, n) if own else "" for n in names[1:])]
            rows.append([title, *cells, final(summary, variant)])
    return markdown(["", *names, heading], rows)


def costs(summaries):
    """CPU per request, the best peer's in bold."""

    def cell(summary, name):
        figures = summary.medians.get(name, {})
        if figures.get("cpu_us") is None:
            return "–"
        text = f"{figures['cpu_us']:,.{1 if figures['cpu_us'] < 100 else 0}f}"
        text = f"**{text}**" if name == summary.best else text
        rate = figures["rps"] / 1000
        return text + f" ({rate:.{0 if rate >= 20 else 1}f})"

    def final(summary, variant):
        own = number(summary.ratio(variant), ".2f")
        beside = summary.ratio(variant, "forebay") if variant != "forebay" else None
        return own if beside is None else f"{own} ({beside:.2f} of forebay)"

    return grid(summaries, cell, ("forebay / best peer", final))


def latencies(summaries):
    """p50 and p99, and the rate at which they were taken."""

    def cell(summary, name):
        figures = summary.medians.get(name, {})
        if figures.get("p50_ms") is None:
            return "–"
        return f"{figures['p50_ms']:,.2f} / {figures['p99_ms']:,.2f}"

    def final(summary, _):
        rate = summary.outcome.facts.get("rate")
        return f"{rate:,}/s" if rate else "closed loop"

    return grid(summaries, cell, ("at", final))


def single(summary):
    """A row with a table of its own, a line for each server."""
    columns = summary.row.columns
    rows = []
    for name, figures in summary.medians.items():
        cells = [number(figures.get(c.key), c.style) for c in columns]
        if name == summary.best:
            cells[0] = f"**{cells[0]}**"
        rows.append([name, *cells, number(summary.ratio(name), ".2f")])
    return markdown(["", *(c.heading for c in columns), "/ best peer"], rows)


def reasons(summaries):
    """A list of what was left out or is invalid, rows with the same reason together. That a reference is for some
    rows alone needs no saying."""
    said = {}
    for summary in summaries:
        roles = summary.outcome.roles
        skipped = [(n, r) for n, r in summary.outcome.skipped.items() if roles.get(n) != "reference"]
        for name, reason in [*skipped, *summary.troubles()]:
            said.setdefault((name, reason), []).append(summary.row.name)
    return "\n".join(f"- {name}: {', '.join(rows)}: {reason}" for (name, reason), rows in said.items())
