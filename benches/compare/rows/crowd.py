"""Clients in a process of their own, so that they do not wait for the bench nor the bench for them."""

import contextlib
import multiprocessing
import signal


@contextlib.contextmanager
def in_a_process(work, *arguments):
    """Runs `work(results, …)` in a process that ends with the block; gives the queue of its results."""
    results = multiprocessing.Queue()
    process = multiprocessing.Process(target=run_quietly, args=(work, results, *arguments), daemon=True)
    process.start()
    try:
        yield results
    finally:
        process.kill()
        process.join()


def run_quietly(work, *arguments):
    """The process: it leaves the stopping to the bench."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work(*arguments)
