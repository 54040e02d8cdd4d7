"""The servers of the compare bench: Forebay and its variants, the peers, the references."""

from .ats import TrafficServer
from .base import Contender, Need
from .forebay import LOGGED, ON_DISK, Forebay
from .h2o import H2o
from .haproxy import HaProxy
from .nginx import Nginx, NginxTuned
from .references import BareHyper, Epoll, HyperPass
from .varnish import Varnish

__all__ = ["Contender", "Need", "all_servers", "parse_variant"]


def all_servers():
    """Every server, in the order in which they take turns and are shown."""
    forebays = [
        Forebay(),
        Forebay("forebay-logged", LOGGED, only={"hit-1k"}),
        Forebay("forebay-disk", ON_DISK, only={"miss-1k"}),
    ]
    peers = [Nginx(), NginxTuned(), Varnish(), HaProxy(), TrafficServer(), H2o()]
    return forebays + peers + [BareHyper(), HyperPass(), Epoll()]


def parse_variant(text):
    """NAME=FLAGS as a further Forebay that takes part in every row."""
    name, equals, flags = text.partition("=")
    if not equals or not name or name == "forebay":
        raise ValueError(f"{text!r} is not NAME=FLAGS with a name of its own")
    return Forebay(name, flags)
