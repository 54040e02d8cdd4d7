"""What every server of the compare bench has in common."""

from dataclasses import dataclass
from pathlib import Path

# What rows are about; a server is asked whether it can do that.
EVERY_KIND = frozenset(
    ["hit", "distinct", "pass", "miss", "disk", "idle", "objects", "collapse", "slow-hit", "slow-pass"]
)


@dataclass(frozen=True)
class Need:
    """What a row needs of the servers. Rows with equal needs that follow one another share the running servers."""

    name: str
    memory_mib: int = 2048  # for those that cache in memory
    disk_gib: int = 6  # for those that cache on disk
    collapse: bool = False  # one fetch for many clients, where that must be asked for


class Contender:
    """One server: how it is started, and what it can take part in.

    `kinds` names the kinds of row that it can do; for the others `reasons` says why not. `only` names rows outside of
    which it has no place, and it is left out of them silently.
    """

    name = ""
    role = "peer"  # or "forebay", or "reference": shown, but no peer to be compared with
    needs = {}  # commands and the Debian packages that bring them
    kinds = frozenset()
    reasons = {}
    only = None

    def role_in(self, kind):
        """Its role in a kind of row."""
        return self.role

    def takes_part(self, row):
        """Whether it is to be seen in a row at all."""
        return self.only is None or row in self.only

    def refusal(self, kind):
        """Why it cannot do a kind of row; None if it can."""
        return None if kind in self.kinds else self.reasons.get(kind, self.reasons.get("*", "not its job"))

    def start(self, place: Path, port: int, origin: int, need: Need):
        """Starts it with all its files below `place`; does not wait for it."""
        raise NotImplementedError

    def ready(self, server):
        """Waits until it serves."""
        server.wait_ready(30)
