"""A run: the servers that are running, and what rows share."""

import contextlib
import shutil

import common

from .load import Load
from .origin import Origin


class Bench:
    """Starts servers when a row needs them, and stops all of them at its end."""

    def __init__(self, place, rounds, seconds, quick):
        self.place, self.rounds, self.seconds, self.quick = place, rounds, seconds, quick
        self.latency_rounds = 1 if quick else rounds
        self.load = Load(place)
        self.origin = Origin(place)
        self.need, self.running, self.memory = None, {}, {}
        self.started = 0

    def shared_servers(self, contenders, need):
        """The running servers of these, kept from a row with the same needs or started, all at once: servers by name,
        and by name what kept others from starting."""
        if self.need != need:
            self.stop_servers()
            self.need = need
        fresh, troubles = [c for c in contenders if c.name not in self.running], {}
        for contender in fresh:
            self.running[contender.name] = self.start(contender, need, self.origin.port)
        for contender in fresh:
            try:
                contender.ready(self.running[contender.name])
            except RuntimeError as error:
                self.running.pop(contender.name).stop()
                troubles[contender.name] = error
        return {c.name: self.running[c.name] for c in contenders if c.name in self.running}, troubles

    @contextlib.contextmanager
    def fresh_server(self, contender, need, origin=None):
        """A server of its own, stopped and its files removed at the end of the block; all others are stopped."""
        self.stop_servers()
        server = self.start(contender, need, origin or self.origin.port)
        try:
            contender.ready(server)
            yield server
        finally:
            server.stop()
            shutil.rmtree(server.log.parent, ignore_errors=True)

    def start(self, contender, need, origin):
        """Starts one in a directory of its own."""
        self.started += 1
        place = self.place / f"{self.started}-{contender.name}"
        place.mkdir()
        return contender.start(place, common.free_port(), origin, need)

    def once(self, key, make):
        """What `make` gives, made at the first call with this key."""
        if key not in self.memory:
            self.stop_servers()
            self.memory[key] = make()
        return self.memory[key]

    def stop_servers(self):
        """Stops the running servers and removes their files."""
        while self.running:
            _, server = self.running.popitem()
            server.stop()
            shutil.rmtree(server.log.parent, ignore_errors=True)
        self.need = None

    def stop(self):
        """Stops everything."""
        try:
            self.stop_servers()
        finally:
            self.origin.stop()
