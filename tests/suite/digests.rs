//! Digests of content (RFC 9530) go through and are stored as they came.

use crate::rig::Pipes;
use crate::support::origin::respond;

const CONTENT: (&str, &str) = ("Content-Digest", "sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:");
const REPR: (&str, &str) =
    ("Repr-Digest", "sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:, sha-512=:AA==:;x=1");
const WANTS: [(&str, &str); 2] =
    [("Want-Content-Digest", "sha-512=3, sha-256=10"), ("Want-Repr-Digest", "sha-256=0, bad")];

#[tokio::test(start_paused = true)]
async fn digests_are_the_same_from_the_origin_and_from_the_cache_and_wishes_reach_the_origin() {
    let pipes =
        Pipes::new(|_, _| vec![respond("200 OK", &[("Cache-Control", "max-age=60"), CONTENT, REPR], "page")]);
    for _ in 0..2 {
        let answer = pipes.ask("/", &WANTS).await;
        for (name, value) in [CONTENT, REPR] {
            assert_eq!(answer.header_all(name), [value], "{}", answer.cache_status());
        }
    }
    assert_eq!(pipes.origin.hits(), 1);
    pipes.ask("/", &[WANTS[0], WANTS[1], ("If-Match", "\"a\""), CONTENT]).await;
    for exchange in [0, 1].map(|nth| pipes.origin.exchange(nth)) {
        for (name, value) in WANTS {
            assert_eq!(exchange.request.header_all(name), [value]);
        }
    }
    assert_eq!(
        pipes.origin.exchange(1).request.header_all(CONTENT.0),
        [CONTENT.1],
        "a request has digests too"
    );
}

#[tokio::test(start_paused = true)]
async fn a_304_leaves_the_digest_of_the_stored_content() {
    for (tag, other, repr) in
        [("\"v\"", "sha-512=:AQ==:", "sha-512=:AQ==:"), ("W/\"v\"", "sha-512=:AQ==:", REPR.1)]
    {
        let pipes = Pipes::new(move |_, nth| match nth {
            0 => vec![respond(
                "200 OK",
                &[("Cache-Control", "max-age=60"), ("ETag", tag), CONTENT, REPR],
                "page",
            )],
            _ => vec![respond(
                "304 Not Modified",
                &[
                    ("Cache-Control", "max-age=60"),
                    ("ETag", tag),
                    ("Content-Digest", other),
                    ("Repr-Digest", other),
                ],
                "",
            )],
        });
        pipes.ask("/", &[]).await;
        pipes.pass_time(60);
        for cache in ["forebay; fwd=stale; fwd-status=304; stored; ttl=60", "forebay; hit; ttl=60"] {
            let answer = pipes.ask("/", &[]).await;
            assert_eq!(answer.cache_status(), cache);
            assert_eq!(answer.header_all("content-digest"), [CONTENT.1], "{tag}");
            assert_eq!(answer.header_all("repr-digest"), [repr], "{tag}");
        }
    }
}
