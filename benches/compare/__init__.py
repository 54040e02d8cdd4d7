"""Forebay beside its peers, row by row. `python3 benches/compare`; docs/performance.md tells how to read it."""
