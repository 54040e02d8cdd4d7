"""The origin: `origin` of benches/references. Its CPU is in nobody's account, and it counts what reaches it."""

import json

import common

from .servers.references import binary


class Origin:
    """The running origin."""

    def __init__(self, directory):
        port = common.free_port()
        command = [binary("origin"), "--port", port, "--workers", 2]
        self.server = common.Server("origin", command, port, directory).wait_ready()
        self.port = port

    def counts(self):
        """Requests so far, and bodies of which the last byte was taken."""
        return json.loads(common.get(self.port, "/-/counts")[2])

    def requests(self):
        """Requests so far."""
        return self.counts()["requests"]

    def stop(self):
        """Ends it."""
        self.server.stop()
