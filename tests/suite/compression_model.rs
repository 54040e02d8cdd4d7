//! What tests of compression hold the node against: which codings a client takes, and what coded bytes are, both written
//! without a look at Forebay's own.

use std::io::Read as _;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The codings that Forebay makes.
pub const MADE: [&str; 3] = ["br", "zstd", "gzip"];

/// Codings that a client has to ask for, so that it is not sent what it cannot read.
const REGISTERED: [&str; 7] = ["aes128gcm", "br", "compress", "dcb", "deflate", "gzip", "zstd"];

/// Some text that gets much shorter.
pub fn text(length: usize) -> Vec<u8> {
    let words = ["water ", "from ", "the ", "river ", "waits ", "above ", "the ", "wheel\n"];
    let mut random = fastrand::Rng::with_seed(length as u64);
    let mut text = Vec::with_capacity(length + 8);
    while text.len() < length {
        text.extend_from_slice(words[random.usize(..words.len())].as_bytes());
    }
    text.truncate(length);
    text
}

/// Bytes that get no shorter.
pub fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    fastrand::Rng::with_seed(length as u64).fill(&mut noise);
    noise
}

/// Content in a coding.
pub async fn encoded(coding: &str, content: &[u8]) -> Vec<u8> {
    macro_rules! through {
        ($encoder:expr) => {{
            let mut encoder = $encoder;
            encoder.write_all(content).await.expect("coded");
            encoder.shutdown().await.expect("coded");
            encoder.into_inner()
        }};
    }
    match coding {
        "br" => {
            let level = async_compression::Level::Precise(3);
            through!(BrotliEncoder::with_quality(Vec::new(), level))
        }
        "zstd" => through!(ZstdEncoder::new(Vec::new())),
        "gzip" => through!(GzipEncoder::new(Vec::new())),
        "deflate" => {
            let mut coded = Vec::new();
            let level = flate2::Compression::fast();
            flate2::read::ZlibEncoder::new(content, level).read_to_end(&mut coded).expect("coded");
            coded
        }
        _ => content.to_vec(),
    }
}

/// Content out of a coding, which has to end where the bytes do. A word that is no coding leaves it as it is.
pub async fn decoded(coding: &str, coded: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    macro_rules! through {
        ($decoder:expr) => {{
            let mut decoder = $decoder;
            let read = decoder.read_to_end(&mut plain).await;
            read.map(|_| decoder.into_inner().len())
        }};
    }
    let left = match coding {
        "br" => through!(BrotliDecoder::new(coded)),
        "zstd" => through!(ZstdDecoder::new(coded)),
        "gzip" => through!(GzipDecoder::new(coded)),
        "deflate" => {
            let mut decoder = flate2::bufread::ZlibDecoder::new(coded);
            decoder.read_to_end(&mut plain).map(|_| decoder.into_inner().len())
        }
        _ => return Ok(coded.to_vec()),
    };
    match left {
        Ok(0) => Ok(plain),
        Ok(left) => Err(format!("{left} bytes behind the end of {coding}")),
        Err(error) => Err(format!("{coding}: {error}")),
    }
}

/// As much as can be read already of coded bytes of which more will come.
pub async fn decoded_so_far(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut decoder: Box<dyn tokio::io::AsyncRead + Unpin> = match coding {
        "br" => Box::new(BrotliDecoder::new(coded)),
        "zstd" => Box::new(ZstdDecoder::new(coded)),
        "gzip" => Box::new(GzipDecoder::new(coded)),
        _ => Box::new(coded),
    };
    let (mut plain, mut some) = (Vec::new(), [0; 4_096]);
    while let Ok(length @ 1..) = decoder.read(&mut some).await {
        plain.extend_from_slice(&some[..length]);
    }
    plain
}

/// The codings that a `Content-Encoding` names, in the order in which they were put on.
pub fn named(lines: &[&str]) -> Vec<String> {
    let names = lines.iter().flat_map(|line| line.split(',')).map(|name| canonical(name.trim()));
    names.filter(|name| !name.is_empty()).collect()
}

/// A name in small letters, and without the `x-` of old.
fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "x-gzip" => "gzip".into(),
        "x-compress" => "compress".into(),
        _ => name,
    }
}

/// Thousandths of what stands behind a `;` (RFC 9110 §12.4.2); none of what is malformed, which refuses.
fn thousandths(parameter: &str) -> u32 {
    let Some(said) = parameter.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('=')) else {
        return 0;
    };
    let (whole, fraction) = said.split_once('.').unwrap_or((said, ""));
    let is_short = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if is_short && fraction.trim_matches('0').is_empty() => 1000,
        "0" if is_short => format!("{fraction:0<3}").parse().expect("three digits"),
        _ => 0,
    }
}

/// How much the lines of an `Accept-Encoding` like what they mention by this name; the least of several mentions counts.
fn said_of(lines: &[String], name: &str) -> Option<u32> {
    let members = lines.iter().flat_map(|line| line.split(','));
    let weights = members.filter_map(|member| {
        let (of, weight) = match member.split_once(';') {
            Some((of, parameter)) => (of, thousandths(parameter)),
            None => (member, 1000),
        };
        (canonical(of.trim()) == name).then_some(weight)
    });
    weights.min()
}

fn weight(lines: &[String], coding: &str) -> u32 {
    said_of(lines, coding).or_else(|| said_of(lines, "*")).unwrap_or(0)
}

/// Whether who sends these lines of `Accept-Encoding` may be sent content in this coding. Who sends none takes what is not
/// coded. Words that are no codings go to all.
pub fn takes(lines: &[String], coding: &str) -> bool {
    !REGISTERED.contains(&coding) || weight(lines, coding) > 0
}

/// Whether who sends these lines takes content in no coding: unless that is refused by its name, or by a star that nothing says
/// otherwise of.
pub fn takes_plain(lines: &[String]) -> bool {
    said_of(lines, "identity").or_else(|| said_of(lines, "*")).is_none_or(|weight| weight > 0)
}

/// Which of these codings is sent to who sends these lines, if one is: the first of those that it likes best, unless it likes
/// what is not coded better.
pub fn best<'a>(lines: &[String], among: &[&'a str]) -> Option<&'a str> {
    let most = among.iter().map(|coding| weight(lines, coding)).max()?;
    let uncoded = said_of(lines, "identity").unwrap_or(0);
    let is_best = |coding: &&&str| weight(lines, coding) == most;
    among.iter().find(is_best).filter(|_| most > 0 && most >= uncoded).copied()
}

#[test]
fn the_reference_knows_what_it_should() {
    let lines = |text: &str| vec![text.to_owned()];
    for (accept, coding, is_taken) in [
        ("gzip, br", "br", true),
        ("*", "zstd", true),
        ("*, zstd;q=0", "zstd", false),
        ("X-GZIP;q=0.001", "gzip", true),
        ("gzip;q=0.0000", "gzip", false),
        ("gzip;q=1.001", "gzip", false),
        ("gzip, gzip;q=0", "gzip", false),
        ("", "gzip", false),
        ("", "a-word", true),
    ] {
        assert_eq!(takes(&lines(accept), coding), is_taken, "{accept:?} {coding}");
    }
    assert!(!takes(&[], "gzip"));
    assert_eq!(best(&lines("gzip, br;q=0.9"), &["br", "gzip"]), Some("gzip"));
    assert_eq!(best(&lines("gzip, br"), &["br", "gzip"]), Some("br"));
    assert_eq!(best(&lines("gzip;q=0.5, identity"), &["br", "gzip"]), None);
}
