"""nginx: two workers, a cache on disk, sendfile."""

import common

from .base import EVERY_KIND, Contender


class Nginx(Contender):
    """nginx with keep-alive to the origin and no log; its memory is the page cache."""

    name = "nginx"
    needs = {"nginx": "nginx-light"}
    kinds = EVERY_KIND
    extra = ""

    def role_in(self, kind):
        """What it stores is on disk and in the page cache: its memory for an object is that of a key."""
        return "reference" if kind == "objects" else self.role

    def start(self, place, port, origin, need):
        """Starts it; its lock is on only where collapsing is asked for, for it delays what cannot be shared."""
        extra = self.extra + ("proxy_cache_lock on;" if need.collapse else "")
        most = f"{need.disk_gib}g"
        return common.caching_nginx(place, port, origin, self.name, keys="256m", most=most, extra=extra)


class NginxTuned(Nginx):
    """The same with what makes it fastest at small hits."""

    name = "nginx-tuned"
    kinds = frozenset(["hit"])
    reasons = {"*": "tuned for hits of few objects alone"}
    extra = common.NGINX_TUNED
