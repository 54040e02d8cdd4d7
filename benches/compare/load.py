"""Load: wrk in a closed loop for what is dear and how much goes, our own open loop for how long it takes."""

import json
import subprocess
from dataclasses import dataclass

import common

from .servers.references import binary

# Each thread of wrk has numbers of its own.
APART = 10_000_000

SCRIPT = """
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function init(args)
    before, mode, number = args[1], args[2], tonumber(args[3])
    host = wrk.headers["Host"]
    if mode == "random" then math.randomseed(id * 7919 + tonumber(args[4])) end
    number_now = number + id * (mode == "new" and %d or 0)
end
function request()
    local n
    if mode == "random" then
        n = math.random(0, number - 1)
    else
        n = number_now
        number_now = n + 1
    end
    return "GET " .. before .. string.format("%%d", n) .. " HTTP/1.1\\r\\nHost: " .. host .. "\\r\\n\\r\\n"
end
""" % APART


@dataclass(frozen=True)
class Paths:
    """What is asked for: a path, or one that a number is added to: any below `objects`, or always a new one."""

    path: str
    objects: int = 0
    new: bool = False

    @property
    def numbered(self):
        """Whether requests differ."""
        return bool(self.objects or self.new)


class Load:
    """The load generators; numbers of new objects are never given out twice."""

    def __init__(self, directory):
        self.script = directory / "paths.lua"
        self.script.write_text(SCRIPT)
        self.base = 0

    def fresh(self):
        """The first of enough numbers that were never asked for."""
        self.base += 10 * APART
        return self.base

    def closed(self, port, paths, seconds):
        """wrk: 64 connections that ask as fast as they are answered. Also gives the first number that was asked."""
        base = self.fresh()
        mode, number = ("new", base) if paths.new else ("random", paths.objects)
        script = [self.script, paths.path, mode, number, base % 65_536] if paths.numbered else []
        try:
            return common.wrk(port, paths.path, seconds, *script) | {"base": base}
        except SystemExit as end:
            # That of SIGTERM has a number.
            raise RuntimeError(end.code) if isinstance(end.code, str) else end

    def open(self, port, paths, rate, seconds, size, **more):
        """Our own client at a constant rate; latencies count from when a request was due."""
        path, numbers = paths.path, f"from:{self.fresh()}"
        if paths.numbered:
            path += "{}"
            numbers = numbers if paths.new else f"random:{paths.objects}"
        options = {"port": port, "path": path, "rate": rate, "seconds": seconds, "expect": size, "numbers": numbers}
        words = [f"{w}" for name, value in (options | more).items() for w in ("--" + name, value)]
        run = subprocess.run([binary("open-loop"), *words], capture_output=True, text=True, timeout=seconds + 60)
        if run.returncode != 0:
            return {"requests": 0, "rps": 0.0, "trouble": [run.stderr.strip() or "the client failed"]}
        return json.loads(run.stdout)

    def each(self, port, paths, first, count, size):
        """Asks for so many numbered objects, each once, as fast as it goes."""
        numbered = Paths(paths.path, new=True)
        more = {"numbers": f"from:{first}", "requests": count}
        return self.open(port, numbered, 0, 120, size, **more)
