//! Whatever is sent in whatever pieces, and however little room there is: an origin gets exactly that, or nothing that it could
//! take for it.

use forebay::body::busy::Means;
use http::Method;
use proptest::prelude::*;

use crate::rig::{Pipes, settings};
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Act, respond};
use crate::support::{ms, within};

/// One upload, and the room that there is for it.
#[derive(Clone, Debug)]
struct Upload {
    method: Method,
    length: usize,
    is_chunked: bool,
    /// How much is sent at a time.
    pieces: Vec<usize>,
    /// The client leaves when it has sent so much.
    leaves_at: Option<usize>,
    max_body: u64,
    max_buffered: u64,
    window: u64,
    spill: u64,
    is_budget_used_up: bool,
}

fn uploads() -> impl Strategy<Value = Upload> {
    let method = prop_oneof![Just(Method::PUT), Just(Method::POST)];
    let plenty = 1_u64 << 30;
    let limit = move || prop_oneof![3 => Just(plenty), 1 => 0..300_000_u64];
    let sent = (method, 0..300_000_usize, any::<bool>(), prop::collection::vec(1..70_000_usize, 1..9));
    let room =
        (limit(), limit(), prop_oneof![1..1000_u64, Just(64_u64 << 10)], limit(), prop::bool::weighted(0.2));
    (sent, prop::option::weighted(0.3, 0..100_usize), room).prop_map(|(sent, leaves, room)| {
        let (method, length, is_chunked, pieces) = sent;
        let (max_body, max_buffered, window, spill, is_budget_used_up) = room;
        let leaves_at = leaves.map(|percent| length * percent / 100).filter(|at| *at < length);
        Upload {
            method,
            length,
            is_chunked,
            pieces,
            leaves_at,
            max_body,
            max_buffered,
            window,
            spill,
            is_budget_used_up,
        }
    })
}

impl Upload {
    /// Sends it as far as the client goes, and gives what it is answered.
    async fn send(&self, mut client: Client<tokio::io::DuplexStream>) -> Option<u16> {
        let content = pattern(1, self.length);
        let content = &content[..self.leaves_at.unwrap_or(self.length)];
        let framing = if self.is_chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", self.length)
        };
        client.send(&format!("{} / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n", self.method)).await;
        let (mut rest, mut pieces) = (content, self.pieces.iter().cycle());
        while let Some(piece) = pieces.next().filter(|_| !rest.is_empty()) {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            let sent = if self.is_chunked {
                [format!("{:x}\r\n", now.len()).as_bytes(), now, b"\r\n"].concat()
            } else {
                now.to_vec()
            };
            // Who is refused need not be listened to.
            if client.try_send(&sent).await.is_err() {
                break;
            }
            rest = later;
            tokio::task::yield_now().await;
        }
        if self.leaves_at.is_some() {
            return None;
        }
        if self.is_chunked {
            let _ = client.try_send(b"0\r\n\r\n").await;
        }
        Some(client.read_answer().await.status)
    }

    /// Whether all of it can be taken in before the origin is asked.
    fn fits(&self) -> bool {
        self.length as u64 <= self.max_buffered && self.spill >= 1 << 30
    }

    async fn holds(&self) {
        let mut settings = settings("http://origin.test");
        (settings.sites[0].max_body, settings.sites[0].max_buffered_body) =
            (self.max_body, self.max_buffered);
        settings.spill.limit = self.spill;
        let mut pipes =
            Pipes::with(settings, |_, _| vec![Act::ReadBody, respond("201 Created", &[], "taken")]);
        pipes.node.means = Means { window: self.window, ..pipes.node.means.clone() };
        let budget = pipes.node.means.budget.clone();
        let all = self.is_budget_used_up.then(|| budget.charge(budget.limit()));
        let status = within(ms(600_000), self.send(pipes.client())).await;
        pipes.connections.close();
        within(ms(600_000), pipes.connections.wait()).await;
        pipes.quiet().await;
        drop(all);
        let (seen, is_too_long) = (pipes.origin.tally().exchanges, self.length as u64 > self.max_body);
        let content = pattern(1, self.length);
        assert!(seen.iter().all(|exchange| content.starts_with(&exchange.body)), "a beginning of it");
        let whole = seen.iter().filter(|exchange| exchange.body_whole).count();
        match status {
            Some(status) if is_too_long => assert_eq!((status, whole), (413, 0)),
            Some(status) => {
                assert_eq!((status, whole, seen.len()), (201, 1, 1));
                assert!(seen[0].body == content);
            }
            None => assert_eq!(whole, 0),
        }
        if (self.leaves_at.is_some() || is_too_long) && self.fits() {
            assert_eq!(pipes.origin.opened(), 0, "the origin heard of it");
        }
        pipes.nothing_spilled().await;
        assert_eq!(budget.busy_bodies(), 0, "something is left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::disk_rig::from_environment("FOREBAY_UPLOADS", 64)))]

    #[test]
    fn an_origin_gets_exactly_what_was_sent_or_nothing_that_it_could_take_for_it(upload in uploads()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(upload.holds());
    }
}
