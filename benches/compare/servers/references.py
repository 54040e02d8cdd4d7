"""References: what the least costs. They are built from `benches/references`."""

import os

import common

from .base import Contender

WORKERS = 2


def binary(name):
    """The path of a program of that package."""
    target = os.environ.get("CARGO_TARGET_DIR", common.ROOT / "benches" / "references" / "target")
    return common.ROOT / target / "release" / name


class Reference(Contender):
    """One of its programs."""

    role = "reference"

    def start(self, place, port, origin, need):
        """Starts it."""
        more = ["--origin", origin] if "pass" in self.kinds else []
        command = [binary(self.name), "--port", port, "--workers", WORKERS, *more]
        return common.Server(self.name, command, port, place)


class BareHyper(Reference):
    """A server on hyper with a fixed answer."""

    name = "bare-hyper"
    kinds = frozenset(["hit", "distinct", "idle"])
    reasons = {"*": "answers by itself"}


class HyperPass(Reference):
    """A proxy on hyper that looks at nothing."""

    name = "hyper-pass"
    kinds = frozenset(["pass"])
    reasons = {"*": "no cache"}


class Epoll(Reference):
    """An epoll loop that writes a fixed answer."""

    name = "epoll"
    kinds = frozenset(["hit", "distinct"])
    reasons = {"*": "answers by itself"}
