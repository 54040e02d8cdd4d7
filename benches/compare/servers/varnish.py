"""Varnish: two thread pools, its cache in memory."""

import common

from .base import EVERY_KIND, Contender


class Varnish(Contender):
    """Varnish with malloc storage and the built-in VCL."""

    name = "varnish"
    needs = {"varnishd": "varnish"}
    kinds = EVERY_KIND - {"disk"}
    reasons = {"disk": "its file storage does not outlive a restart"}

    def start(self, place, port, origin, need):
        """Starts it; idle connections are kept, and threads for the crowd are there beforehand."""
        vcl = place / "varnish.vcl"
        vcl.write_text(f'vcl 4.1;\nbackend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}\n')
        command = [common.program("varnishd"), "-F", "-j", "none", "-n", place / "varnish", "-f", vcl]
        command += ["-a", f"127.0.0.1:{port}", "-s", f"malloc,{need.memory_mib}M"]
        parameters = {"thread_pools": 2, "thread_pool_min": 100, "thread_pool_max": 2000, "timeout_idle": 600}
        for name, value in (parameters | {"listen_depth": 4096}).items():
            command += ["-p", f"{name}={value}"]
        return common.Server(self.name, command, port, place)
