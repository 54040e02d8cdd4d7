"""The public suite: where it is, which tests it has, its server and its client."""

import json
import os
import re
from pathlib import Path

from .process import Trouble, output, server
from .scoring import Test

NODE = Path(__file__).resolve().parent / "node"
PACKAGE, VERSION = "http-cache-tests", "0.4.5"


class Suite:
    """A cut of the suite in a folder.

    `cut` is `npm` for the published package and `current` for a checkout of the repository, which has its programs in
    a folder of their own; `version` is the package's version or the checkout's commit.
    """

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        engine = self.folder / "test-engine"
        self.cut, self.engine = ("current", engine) if engine.is_dir() else ("npm", self.folder)
        if not (self.engine / "cli.mjs").is_file():
            raise Trouble(f"{self.folder} is no folder of the suite: it has neither cli.mjs nor test-engine/cli.mjs")
        if self.cut == "npm":
            self.version = json.loads((self.folder / "package.json").read_text())["version"]
        else:
            self.version = output(["git", "-C", self.folder, "rev-parse", "HEAD"]).strip()

    def tests(self):
        """Its tests that a proxy can be asked, in its order, those beside its list last."""
        modules = [self.folder / "tests" / "index.mjs"]
        beside = self.folder / "tests" / "surrogate-control.mjs"
        if beside.is_file():
            modules.append(beside)
        said = json.loads(output(["node", "--no-warnings", NODE / "tests.mjs", *modules]))
        return [
            Test(test["id"], test["kind"], test["group"], tuple(test["needs"]), test["name"], test["listed"])
            for test in said
            if not test["browser_only"]
        ]

    def server(self, directory):
        """Runs its server while the block runs; gives its port."""
        command = ["node", "--no-warnings", "--import", NODE / "loopback.mjs", self.engine / "server" / "server.mjs"]
        settings = environment(protocol="http", port="0", pidfile=directory / "suite.pid")
        log = directory / "suite.log"
        return server(command, log, r"Listening on \S+:(\d+)/", cwd=self.folder, env=settings)

    def client(self, base, id=""):
        """Runs its client against a base URL: the results by test, or, of one test, the dialogue as text."""
        command = ["node", "--no-warnings", self.engine / "cli.mjs"]
        text = output(command, cwd=self.folder, env=environment(base=base, id=id))
        if id:
            return text
        begin = re.search(r"(?m)^\{", text)
        if not begin:
            raise Trouble(f"the suite's client writes no results:\n{text}")
        return json.loads(text[begin.start() :])


def environment(**settings):
    """The environment in which the suite's programs find these settings, as npm would have given them."""
    return os.environ | {f"npm_package_config_{name}": str(value) for name, value in settings.items()}


def from_npm(directory):
    """The published package, installed into a directory by npm unless it is there."""
    place = Path(directory) / f"{PACKAGE}-{VERSION}"
    folder = place / "node_modules" / PACKAGE
    if not (place / "complete").is_file():
        place.mkdir(parents=True, exist_ok=True)
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix", place]
        output(["npm", "install", *flags, f"{PACKAGE}@{VERSION}"])
        (place / "complete").touch()
    return Suite(folder)
