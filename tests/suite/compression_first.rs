//! Coded answers of which the origin sends piece by piece: each can be read before the origin sends the next. What is shown
//! is the order of events, not a time; `benches/compression.py` measures that.

use std::sync::Arc;

use bytes::Bytes;
use forebay::config::file::CodingName;
use forebay::config::{Configuration, Settings};
use h2::client;
use http::{Request, Version};

use crate::compression_model::{MADE, decoded, decoded_so_far, text};
use crate::http2_frames::connect;
use crate::rig::{Pipes, settings};
use crate::support::origin::{Act, Gate, SeenRequest, chunk, head, last_chunk};
use crate::support::{ms, within};

/// Lengths of the pieces: some shorter than anything that an encoder waits for.
const PIECES: [usize; 5] = [3_000, 1, 40, 20_000, 7];

/// Where each piece ends.
fn ends() -> impl Iterator<Item = usize> {
    PIECES.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    })
}

fn whole() -> Vec<u8> {
    text(PIECES.iter().sum())
}

/// An origin that sends each piece when the gate of the one before was opened: a gate for each piece of each path.
fn node(gates: &Arc<Vec<Vec<Arc<Gate>>>>) -> Pipes {
    let mut written = Configuration::default();
    written.only_site(vec!["http://origin.test".parse().unwrap()]);
    written.memory.limit = forebay::base::units::ByteSize::mib(128);
    written.compression.codings = vec![CodingName::Brotli, CodingName::Zstd, CodingName::Gzip];
    let sites = Settings::compile(&written).expect("settings").sites;
    let gates = Arc::clone(gates);
    Pipes::with(Settings { sites, ..settings("http://origin.test") }, move |request: &SeenRequest, _| {
        let path: usize = request.target.trim_start_matches('/').parse().expect("a path");
        let fields = [("Cache-Control", "max-age=60"), ("Content-Type", "text/html")];
        let chunked = [&fields[..], &[("Transfer-Encoding", "chunked")]].concat();
        let (content, mut begin) = (whole(), 0);
        let mut acts = vec![head("200 OK", &chunked)];
        for (end, gate) in ends().zip(&gates[path]) {
            acts.extend([chunk(&content[begin..end]), Act::WaitFor(Arc::clone(gate))]);
            begin = end;
        }
        acts.push(last_chunk(&[]));
        acts
    })
}

fn gates(paths: usize) -> Arc<Vec<Vec<Arc<Gate>>>> {
    Arc::new((0..paths).map(|_| PIECES.iter().map(|_| Gate::new()).collect()).collect())
}

/// Reads on until so much can be decoded of what came; that it never comes is a failure after a while of paused time.
async fn read_up_to(
    end: usize,
    coding: &str,
    coded: &mut Vec<u8>,
    mut next: impl AsyncFnMut() -> Option<Bytes>,
) {
    while decoded_so_far(coding, coded).await.len() < end {
        let bytes = within(ms(60_000), next()).await.expect("more, before the origin sends more");
        coded.extend_from_slice(&bytes);
    }
    assert_eq!(decoded_so_far(coding, coded).await, whole()[..end], "{coding}");
}

#[tokio::test(start_paused = true)]
async fn each_piece_can_be_read_before_the_origin_sends_the_next_by_http1() {
    let gates = gates(MADE.len());
    let pipes = node(&gates);
    for (path, coding) in MADE.into_iter().enumerate() {
        // The one that began the fetch, and one that joined it.
        let mut clients = [pipes.client(), pipes.client()];
        let mut coded = [Vec::new(), Vec::new()];
        for client in &mut clients {
            client.request("GET", &format!("/{path}"), &[("Accept-Encoding", coding)], b"").await;
            assert_eq!(client.read_head().await.header("content-encoding"), Some(coding));
        }
        for (end, gate) in ends().zip(&gates[path]) {
            for (client, coded) in clients.iter_mut().zip(&mut coded) {
                read_up_to(end, coding, coded, async || client.read_chunk().await).await;
            }
            gate.open();
        }
        for (mut client, mut coded) in clients.into_iter().zip(coded) {
            coded.extend(client.read_body().await);
            assert!(client.is_complete());
            assert_eq!(decoded(coding, &coded).await, Ok(whole()), "{coding}");
        }
        assert_eq!(pipes.origin.hits(), path + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_piece_can_be_read_before_the_origin_sends_the_next_by_http2() {
    let gates = gates(MADE.len());
    let pipes = node(&gates);
    let (send, connection) = client::handshake(connect(&pipes)).await.expect("a handshake");
    tokio::spawn(connection);
    let mut send: client::SendRequest<Bytes> = send.ready().await.expect("a connection");
    for (path, coding) in MADE.into_iter().enumerate() {
        let request = Request::builder().uri(format!("http://test/{path}")).version(Version::HTTP_2);
        let request = request.header("accept-encoding", coding).body(()).expect("a request");
        let (response, _) = send.send_request(request, true).expect("sent");
        let response = within(ms(60_000), response).await.expect("an answer");
        assert_eq!(response.headers()["content-encoding"], coding);
        let (mut body, mut coded) = (response.into_body(), Vec::new());
        let mut next = async || {
            let bytes = body.data().await?.expect("content");
            body.flow_control().release_capacity(bytes.len()).expect("room");
            Some(bytes)
        };
        for (end, gate) in ends().zip(&gates[path]) {
            read_up_to(end, coding, &mut coded, &mut next).await;
            gate.open();
        }
        while let Some(bytes) = within(ms(60_000), next()).await {
            coded.extend_from_slice(&bytes);
        }
        assert_eq!(decoded(coding, &coded).await, Ok(whole()), "{coding}");
    }
}
