//! The demo site: an origin of our own, so that the first command shows a miss and then a hit.
//!
//! It is an ordinary origin behind a real loopback socket; the node has no special path for it.

mod site;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::budget::Budget;
use crate::body::busy::{Means, SpillArea};
use crate::config::{Listen, OriginUrl};
use crate::listener::accept::{Speaks, Spoken};
use crate::listener::address::Address;
use crate::listener::{Serving, Settings, accept, bind};
use site::DemoSite;

/// The running demo site; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Demo {
    address: SocketAddr,
    stopping: CancellationToken,
}

impl Demo {
    /// Where the node finds it.
    pub(super) fn origin_url(&self) -> OriginUrl {
        OriginUrl::from(self.address)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// Starts the site on a free port of the loopback, in a thread of its own.
pub(super) fn start() -> io::Result<Demo> {
    let socket = bind::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1)?
        .pop()
        .ok_or_else(|| io::Error::other("no socket"))?;
    let address = socket.local_addr()?;
    let stopping = CancellationToken::new();
    let stop = stopping.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo-site".into()).spawn(move || {
        runtime.block_on(async move {
            let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
            // Its pages take no uploads, so there is nothing to keep.
            let uploads =
                Means { budget: Budget::new(0), spill: SpillArea::new(PathBuf::new(), 0), window: 0 };
            let (settings, counters) = (Settings::default(), Arc::default());
            let serving = Serving { settings: settings.into(), uploads, counters, draining: stop };
            let speaks = Speaks::default();
            // Held, so that it is listened on.
            let (_listens, spoken) = watch::channel(Spoken { speaks, manner: 0, serving });
            accept::accept(socket, spoken, Arc::new(DemoSite), TaskTracker::new()).await;
        });
    })?;
    Ok(Demo { address, stopping })
}

/// Tells a newcomer what to look at.
pub(super) fn say_what_to_try(listen: &Listen) {
    let scheme = if listen.tls { "https" } else { "http" };
    let address = match &listen.address {
        Address::Inet(address) => address,
        Address::Unix(socket, _) => {
            let path = socket.path().display();
            return super::say(format_args!(
                "
  No --origin was given, so this is a demo site behind Forebay. In another terminal:

    curl -i --unix-socket {path} {scheme}://localhost/
"
            ));
        }
    };
    super::say(format_args!(
        "
  No --origin was given, so this is a demo site behind Forebay. In another terminal:

    curl -i {scheme}://{address}/            a page: Cache-Status says fwd=uri-miss; stored
    curl -i {scheme}://{address}/            again: hit
    curl -i {scheme}://{address}/slow        takes two seconds once, then none
    curl -i {scheme}://{address}/time        uncacheable: asked of the origin each time
    curl -so /dev/null -w '%{{speed_download}}\\n' {scheme}://{address}/download   20 MB

  Or open {scheme}://{address}/ in a browser. Ctrl-C ends it.
"
    ));
}
