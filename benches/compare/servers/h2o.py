"""h2o 2.2 has no cache: it serves files as a reference for hits, and is a peer only where it passes."""

import os

import common

from .base import Contender

SIZES = (1024, 16 * 1024, 64 * 1024, 1 << 20)


class H2o(Contender):
    """h2o with two threads and no log: files, and a reverse proxy below /pass."""

    name = "h2o"
    needs = {"h2o": "h2o"}
    kinds = frozenset(["hit", "pass", "idle", "slow-pass"])
    reasons = {"distinct": "no cache; 200,000 files would measure the file system", "*": "no cache"}

    def role_in(self, kind):
        """Where others hit their cache it only serves files."""
        return "reference" if kind == "hit" else "peer"

    def start(self, place, port, origin, need):
        """Starts it, with files of the sizes of the hits."""
        files = place / "files"
        for size in SIZES:
            (files / str(size)).mkdir(parents=True, exist_ok=True)
            (files / str(size) / "object").write_bytes((b"abcdefghijklmnopqrstuvw" * (size // 23 + 1))[:size])
        config = place / "h2o.conf"
        config.write_text(f"""
{"user: root" if os.getuid() == 0 else ""}
num-threads: 2
max-connections: 8192
http1-request-timeout: 600
listen: {{ host: 127.0.0.1, port: {port} }}
hosts:
  default:
    paths:
      /:
        file.dir: {files}
      /pass:
        proxy.reverse.url: http://127.0.0.1:{origin}/pass
        proxy.timeout.keepalive: 60000
""")
        return common.Server(self.name, [common.program("h2o"), "-c", config], port, place)
