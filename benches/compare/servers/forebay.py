"""Forebay. What its command line looks like is told here and in `common.forebay`, and nowhere else in this bench."""

import shlex
import time

import common

from .base import EVERY_KIND, Contender

# Flags that a variant is given; {place} is its own directory.
LOGGED = "--access-log {place}/access.log"
ON_DISK = "--cache-dir {place}/forebay-cache --disk 6GiB"


class Forebay(Contender):
    """Forebay with a memory tier, and further flags if it is a variant."""

    role = "forebay"
    kinds = EVERY_KIND

    def __init__(self, name="forebay", flags="", only=None):
        self.name, self.flags, self.only = name, flags, only
        if name != "forebay":
            self.kinds = self.kinds - {"disk"}
            self.reasons = {"disk": "that row has flags of its own"}

    def start(self, place, port, origin, need):
        """Starts it; a variant that says nothing of the access log has it off, as the others do."""
        flags = shlex.split(self.flags.format(place=place))
        log = () if "--access-log" in flags else ("--access-log", "off")
        flags = [*flags] if "--memory" in flags else ["--memory", f"{need.memory_mib}MiB", *flags]
        return common.forebay(place, port, origin, *flags, name=self.name, log=log)

    def ready(self, server):
        """Waits for its port, and for its disk tier if it has one."""
        super().ready(server)
        end = time.monotonic() + 30
        while "--cache-dir" in self.flags and "disk tier: serving" not in server.log.read_text(errors="replace"):
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not load its index")
            time.sleep(0.02)
