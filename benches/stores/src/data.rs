//! Objects made from their number alone, so that any process can make them again and compare.

use std::sync::LazyLock;

pub type Key = [u8; 32];
pub type Meta = [u8; 48];

const HEAD_BYTES: usize = 600;
const MAX_BODY: u64 = 16 * 1024;
const POOL_BYTES: usize = 4 << 20;

/// Bytes that do not compress, which bodies are cut from: cheaper than making them anew.
static POOL: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..POOL_BYTES as u64 / 8).flat_map(|i| mix(i, 99).to_le_bytes()).collect());

/// A head as an origin would send it; the marks (`#`) are replaced by digits of the object's own.
const HEAD: &str = "HTTP/1.1 200 OK\r\nserver: nginx/1.26.2\r\ndate: Tue, 04 Mar 2025 10:00:00 GMT\r\n\
    content-type: text/html; charset=utf-8\r\ncontent-length: ####\r\netag: \"################\"\r\n\
    last-modified: Mon, 03 Mar 2025 09:12:44 GMT\r\ncache-control: public, max-age=3600, \
    stale-while-revalidate=600\r\nvary: accept-encoding\r\nx-request-id: ################################\r\n\
    strict-transport-security: max-age=31536000; includeSubDomains\r\nsurrogate-key: page-######## all\r\n";

/// SplitMix64 of a number and a salt.
pub fn mix(n: u64, salt: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(salt.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(mix(seed, 7))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0, 8) % limit
    }
}

pub fn key(id: u64) -> Key {
    let mut key = [0; 32];
    for (i, part) in key.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&mix(id, 10 + i as u64).to_le_bytes());
    }
    key
}

/// How many objects of a hundred have a body inline.
#[derive(Clone, Copy)]
pub struct Shape {
    pub bodies: u64,
}

impl Shape {
    fn body_bytes(self, id: u64) -> usize {
        if mix(id, 1) % 100 < self.bodies { (mix(id, 2) % (MAX_BODY + 1)) as usize } else { 0 }
    }

    /// Bytes of keys and values that the store holds for an object.
    pub fn live_bytes(self, id: u64) -> u64 {
        (2 * size_of::<Key>() + size_of::<Meta>() + HEAD_BYTES + self.body_bytes(id)) as u64
    }

    pub fn record(self, id: u64, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(HEAD.as_bytes());
        into.resize(HEAD_BYTES, b'-');
        let mut word = 0;
        for (i, byte) in into.iter_mut().filter(|byte| **byte == b'#').enumerate() {
            if i % 16 == 0 {
                word = mix(id, 20 + i as u64 / 16);
            }
            *byte = b"0123456789abcdef"[(word & 15) as usize];
            word >>= 4;
        }
        let length = self.body_bytes(id);
        let start = mix(id, 3) as usize % (POOL_BYTES - MAX_BODY as usize);
        into.extend_from_slice(&POOL[start..start + length]);
    }

    pub fn meta(self, id: u64) -> Meta {
        let mut meta = [0; 48];
        meta[..8].copy_from_slice(&id.to_le_bytes());
        meta[8..16].copy_from_slice(&self.live_bytes(id).to_le_bytes());
        meta[16..].copy_from_slice(&key(!id));
        meta
    }
}
