"""HAProxy: two threads, its small-object cache in memory."""

import common

from .base import EVERY_KIND, Contender

LARGEST = 128 << 20


class HaProxy(Contender):
    """HAProxy with a cache as large as Forebay's memory, up to the 4,095 MB that it can have."""

    name = "haproxy"
    needs = {"haproxy": "haproxy"}
    kinds = EVERY_KIND - {"disk", "objects"}
    reasons = {
        "disk": "no cache on disk",
        "objects": "takes the memory of its whole cache at its start",
    }

    def start(self, place, port, origin, need):
        """Starts it."""
        return common.haproxy(place, port, origin, min(need.memory_mib, 4095), LARGEST)
