"""Forebay in front of the suite's server."""

import json
import os
from pathlib import Path

from .process import output, server

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The site options of the second configuration, as a file that Forebay reads itself.
OPTIONS = HERE / "options.toml"


def target():
    """Where Cargo builds."""
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def build():
    """Forebay's binary, built as the tests build it, so that after them nothing is left to do."""
    output(["cargo", "build", "--locked", "--quiet", "--profile", "test", "--bin", "forebay"], 1800, cwd=ROOT)
    return target() / "debug" / "forebay"


def configuration(config, origin):
    """The text of the configuration file: the site and nothing else, or that and the options."""
    included = [str(OPTIONS)] if config == "options" else []
    return "\n".join(
        [
            f"include = {json.dumps(included)}",
            '[[listeners]]\naddress = "127.0.0.1:0"',
            '[log]\naccess = "off"',
            f'[sites.suite]\nhosts = ["*"]\norigins = ["http://127.0.0.1:{origin}"]\n',
        ]
    )


def forebay(binary, config, origin, directory):
    """Runs Forebay while the block runs; gives its port."""
    file = directory / "forebay.toml"
    file.write_text(configuration(config, origin))
    command = [binary, "serve", "--config", file]
    return server(command, directory / "forebay.log", r"listening on http://\S+:(\d+)\b")
