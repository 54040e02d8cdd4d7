"""Apache Traffic Server: two event threads, a cache file, a RAM cache before it."""

import common

from .base import EVERY_KIND, Contender


class TrafficServer(Contender):
    """Traffic Server from a private directory, its log off."""

    name = "ats"
    needs = {"traffic_server": "trafficserver"}
    kinds = EVERY_KIND

    def start(self, place, port, origin, need):
        """Starts it; where collapsing is asked for, readers may read while it writes and wait for a writer."""
        more = {"exec_thread.autoconfig": "INT 0", "exec_thread.limit": "INT 2"}
        # Otherwise only what was asked for again soon enough gets into memory, and hits of many objects are from disk.
        more |= {"cache.ram_cache.use_seen_filter": "INT 0"}
        more |= {"http.keep_alive_no_activity_timeout_in": "INT 600", "net.connections_throttle": "INT 16000"}
        if need.collapse:
            more |= {
                "cache.enable_read_while_writer": "INT 1",
                "http.background_fill_active_timeout": "INT 0",
                "http.background_fill_completed_threshold": "FLOAT 0.0",
                "http.cache.open_read_retry_time": "INT 100",
                "http.cache.max_open_read_retries": "INT 50",
                "http.cache.open_write_fail_action": "INT 5",
            }
        ram = need.memory_mib << 20
        return common.traffic_server(place / "ats", port, origin, need.disk_gib * 1024, ram, more)
