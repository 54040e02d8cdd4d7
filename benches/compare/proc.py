"""What /proc tells about a server beside its CPU time."""

import os
import re
import stat
import time
from pathlib import Path


def memory(server):
    """Bytes of memory of all its processes, what they share counted once (Pss, shared memory included)."""
    total = 0
    for pid in server.pids():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if found := re.search(r"(?m)^Pss:\s+(\d+) kB", text):
            total += int(found[1]) * 1024
    return total


def open_files(server):
    """Bytes of disk that files take which it has open, deleted ones too."""
    files = {}
    for pid in server.pids():
        try:
            for number in os.listdir(f"/proc/{pid}/fd"):
                info = os.stat(f"/proc/{pid}/fd/{number}")
                if stat.S_ISREG(info.st_mode):
                    files[info.st_dev, info.st_ino] = info.st_blocks * 512
        except (FileNotFoundError, ProcessLookupError):
            continue
    return sum(files.values())


def socket_memory():
    """Bytes that the kernel holds for TCP sockets, of the whole machine."""
    text = Path("/proc/net/sockstat").read_text()
    found = re.search(r"(?m)^TCP:.* mem (\d+)", text)
    return int(found[1]) * os.sysconf("SC_PAGE_SIZE") if found else 0


def settle(server, seconds=5):
    """Waits until it does nothing any more, or for so long."""
    end, quiet = time.monotonic() + seconds, 0
    while quiet < 2 and time.monotonic() < end:
        before = server.cpu_seconds()
        time.sleep(0.2)
        quiet = quiet + 1 if server.cpu_seconds() - before <= 0.02 else 0
