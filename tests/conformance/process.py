"""Processes that are started for a run, and ended with it."""

import re
import subprocess
import time
from contextlib import contextmanager


class Trouble(Exception):
    """Something that keeps tests from being run at all: what, and what was said."""


@contextmanager
def server(command, log, said, seconds=20, **more):
    """Runs a server while the block runs; gives what the group in `said` matched in its log once it says that.

    It is ended by its process id, and killed if it has not gone after 10 seconds.
    """
    with open(log, "wb") as out:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **more)
    try:
        yield wait_for(running, log, said, seconds)
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(running, log, said, seconds):
    """What the group in `said` matches, as soon as the log has it. Raises Trouble if that does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended = running.poll() is not None
        text = log.read_text(errors="replace")
        if found := re.search(said, text):
            return found[1]
        if ended:
            raise Trouble(f"{running.args[0]} ended with status {running.returncode}:\n{text}")
        time.sleep(0.02)
    raise Trouble(f"{running.args[0]} does not say {said!r} within {seconds} s:\n{text}")


def output(command, seconds=600, **more):
    """What a command writes on standard output. Raises Trouble if it fails or takes too long."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, **more)
    except FileNotFoundError as error:
        raise Trouble(f"no {error.filename}: it must be installed first") from error
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"{command[0]} takes longer than {seconds} s") from error
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, command))} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
