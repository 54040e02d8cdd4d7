//! Content that was taken in whole and is sent once more, where one endpoint dies and that does no harm.

use std::sync::Arc;

use forebay::config::Settings;

use crate::pool_rig::{Network, pool_settings, says};
use crate::rig::{Pipes, settings, streaming};
use crate::support::bytes::pattern;
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, Origin, head};
use crate::support::{ms, within};

const LENGTH: usize = 1_000_000;

struct Rig {
    pipes: Pipes,
    /// Dies as soon as it has seen a head.
    first: Arc<Origin>,
    second: Arc<Origin>,
}

fn rig(change: impl FnOnce(Settings) -> Settings, dies: Vec<Act>) -> Rig {
    let network = Network::new();
    let first = network.origin("a:80", move |_, _| dies.clone());
    let second = network.origin("b:80", says("b"));
    let mut settings = change(settings("http://a"));
    settings.pools = vec![pool_settings(&["http://a", "http://b"])];
    Rig { pipes: Pipes::over(settings, network), first, second }
}

impl Rig {
    async fn ask(&self, method: &str, fields: &[(&str, &str)]) -> Answer {
        let mut client = self.pipes.client();
        client.request(method, "/", fields, &pattern(5, LENGTH)).await;
        within(ms(100_000), client.read_answer()).await
    }

    /// How many requests each has seen.
    fn hits(&self) -> (usize, usize) {
        (self.first.hits(), self.second.hits())
    }
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_request_goes_to_another_endpoint_with_its_whole_content() {
    for method in ["PUT", "DELETE", "OPTIONS"] {
        for dies in [vec![Act::Reset], vec![Act::ReadBody, Act::Reset], vec![Act::ReadBody, Act::Stall]] {
            let rig = rig(|settings| settings, dies.clone());
            let answer = rig.ask(method, &[]).await;
            assert_eq!(
                (answer.status, answer.text().as_str(), rig.hits()),
                (200, "b", (1, 1)),
                "{method} {dies:?}"
            );
            let came = rig.second.exchange(0);
            assert!(came.body_whole && came.body == pattern(5, LENGTH), "{method} {dies:?}");
            rig.second.assert_clean();
            rig.pipes.quiet().await;
            rig.pipes.nothing_spilled().await;
            assert_eq!(rig.pipes.node.means.budget.busy_bodies(), 0, "all of it is let go");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_sent_is_not_sent_again() {
    let rig = rig(|settings| settings, vec![Act::ReadBody, Act::Reset]);
    assert_eq!((rig.ask("POST", &[]).await.status, rig.hits()), (502, (1, 0)));
}

/// Its own first time may be what the second would fail for.
#[tokio::test(start_paused = true)]
async fn a_change_on_a_condition_that_was_sent_is_not_sent_again() {
    for condition in [("If-Match", "\"v1\""), ("If-None-Match", "*")] {
        let rig = rig(|settings| settings, vec![Act::ReadBody, Act::Reset]);
        assert_eq!((rig.ask("PUT", &[condition]).await.status, rig.hits()), (502, (1, 0)), "{condition:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn content_that_is_passed_on_as_it_comes_is_gone_once_it_was_sent() {
    let rig = rig(streaming, vec![Act::ReadBody, Act::Reset]);
    // It does not come with its head, so that it is not all here when that leaves.
    let mut client = rig.pipes.client();
    client.send(&format!("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    rig.first.wait_for_hits(1).await;
    let _ = client.try_send(&pattern(5, LENGTH)).await;
    assert_eq!((within(ms(100_000), client.read_answer()).await.status, rig.hits()), (502, (1, 0)));
}

/// It was kept for the sake of another attempt, and no longer than there might be one.
#[tokio::test]
async fn content_is_let_go_when_the_head_of_an_answer_has_come() {
    let gate = Gate::new();
    let held = Arc::clone(&gate);
    let pipes = Pipes::new(move |_, _| {
        let begin = head("200 OK", &[("Content-Length", "4")]);
        vec![Act::ReadBody, begin, Act::WaitFor(held.clone()), Act::send("done")]
    });
    let mut client = pipes.client();
    client.request("PUT", "/", &[], &pattern(5, LENGTH)).await;
    assert_eq!(client.read_head().await.status, 200);
    pipes.nothing_spilled().await;
    gate.open();
    assert_eq!(client.read_body().await, b"done");
}

/// What is part of a key is at hand as well.
#[tokio::test(start_paused = true)]
async fn a_query_is_asked_again_elsewhere() {
    let with_query = |mut settings: Settings| {
        settings.sites[0].policy.methods.query = true;
        settings
    };
    let rig = rig(with_query, vec![Act::ReadBody, Act::Reset]);
    let mut client = rig.pipes.client();
    client.request("QUERY", "/", &[], b"select *").await;
    assert_eq!((client.read_answer().await.text().as_str(), rig.hits()), ("b", (1, 1)));
    assert_eq!(rig.second.exchange(0).body, b"select *");
}
