"""Tests of what can be tested without servers: `python3 -m unittest discover -s benches/compare -t benches`."""
