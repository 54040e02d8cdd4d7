//! Early data in records that no library would make.

use aws_lc_rs::{aead, hkdf};

/// Tells the secret of early data (RFC 8446 §7.1), by which more can be sent than the library would.
#[derive(Debug, Default)]
pub struct Secret(std::sync::Mutex<Vec<u8>>);

impl rustls::KeyLog for Secret {
    fn log(&self, label: &str, _random: &[u8], secret: &[u8]) {
        if label == "CLIENT_EARLY_TRAFFIC_SECRET" {
            *self.0.lock().expect("a secret") = secret.to_vec();
        }
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Secret {
    /// So many bytes by HKDF-Expand-Label (RFC 8446 §7.1), of the suite with SHA-384.
    fn expand(&self, label: &str, length: usize) -> Vec<u8> {
        let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA384, &self.0.lock().expect("a secret"));
        let label = format!("tls13 {label}");
        let sizes = [0, u8::try_from(length).expect("short"), u8::try_from(label.len()).expect("short")];
        let (info, mut made) = ([&sizes, label.as_bytes(), &[0]], vec![0; length]);
        secret.expand(&info, Length(length)).expect("expands").fill(&mut made).expect("fills");
        made
    }

    /// A record of early data, by its number.
    pub fn record(&self, nth: u64, content: &[u8]) -> Vec<u8> {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, &self.expand("key", 32)).expect("a key");
        let mut nonce: [u8; 12] = self.expand("iv", 12).try_into().expect("twelve bytes");
        for (byte, of) in nonce[4..].iter_mut().zip(nth.to_be_bytes()) {
            *byte ^= of;
        }
        let mut sealed = [content, &[23]].concat();
        let length = u16::try_from(sealed.len() + 16).expect("a record").to_be_bytes();
        let head = [&[23, 3, 3][..], &length].concat();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let key = aead::LessSafeKey::new(key);
        key.seal_in_place_append_tag(nonce, aead::Aad::from(&head), &mut sealed).expect("sealed");
        [head, sealed].concat()
    }

    /// So much of early data, in records of `size` bytes each from the second one on.
    pub fn records(&self, mut left: usize, size: usize) -> Vec<u8> {
        let (mut all, mut nth) = (Vec::new(), 1);
        while left > 0 {
            let now = left.min(size);
            all.extend_from_slice(&self.record(nth, &vec![b'x'; now]));
            (nth, left) = (nth + 1, left - now);
        }
        all
    }
}
