//! Content that is compressed in itself, whatever its type says: told by its first bytes.

/// How formats begin whose content is compressed in itself, and where.
const BEGINNINGS: [(usize, &[u8]); 21] = [
    (0, b"\x1f\x8b"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"\xfd7zXZ\0"),
    (0, b"BZh"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"PK\x03\x04"),
    (0, b"\x04\x22\x4d\x18"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),
    (0, b"GIF8"),
    (8, b"WEBP"),
    (0, b"wOFF"),
    (0, b"wOF2"),
    (4, b"ftyp"),
    (0, b"\x1a\x45\xdf\xa3"),
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"ID3"),
    (0, b"\0\0\0\x0cJXL "),
    (0, b"\xff\x0a"),
];

/// Bytes that are enough to count by, and as many as are counted.
const COUNTED: std::ops::RangeInclusive<usize> = 1024..=4096;

/// Of so many different bytes in as long a piece each is about as frequent as any other only where nothing is left to be saved.
const BITS: f32 = 7.5;

/// Whether what begins so is compressed already: by the mark of a format, or because its bytes are as good as random. `false` of
/// what is too short to tell.
pub fn is_compressed(first: &[u8]) -> bool {
    let begins = |(at, mark): &(usize, &[u8])| first.get(*at..).is_some_and(|rest| rest.starts_with(mark));
    if BEGINNINGS.iter().any(begins) {
        return true;
    }
    let counted = first.get(..first.len().min(*COUNTED.end())).unwrap_or_default();
    counted.len() >= *COUNTED.start() && entropy(counted) > BITS
}

/// Bits that each of these bytes tells, by how often each value occurs.
fn entropy(bytes: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = f32::from(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    let of = |count: &u16| {
        let part = f32::from(*count) / all;
        -part * part.log2()
    };
    counts.iter().filter(|count| **count > 0).map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_known_by_its_beginning() {
        for first in
            [&b"\x1f\x8b\x08\0"[..], b"\x89PNG\r\n\x1a\n\0", b"RIFF\0\0\0\0WEBPVP8 ", b"\0\0\0\x20ftypavif"]
        {
            assert!(is_compressed(first), "{first:?}");
        }
        for first in [&b""[..], b"<!doctype html>", b"{\"a\":1}", b"\0asm\x01\0\0\0", b"BM\x36\0", b"GI"] {
            assert!(!is_compressed(first), "{first:?}");
        }
    }

    #[test]
    fn noise_is_told_from_what_says_something() {
        let mut random = fastrand::Rng::with_seed(7);
        for length in [1024_u32, 3000, 100_000] {
            let noise: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            assert!(is_compressed(&noise), "{length}");
            // Numbers of four bytes, letters of an alphabet with large numbers, hexadecimal digits of noise.
            let numbers: Vec<u8> = (0..length / 4).flat_map(|at| (at * 977).to_le_bytes()).collect();
            let letters: String = (0..length / 3).map(|_| random.char('\u{4e00}'..'\u{9fff}')).collect();
            let digit = |half: u8| char::from_digit(half.into(), 16).expect("half a byte");
            let digits: String = noise.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect();
            for text in [&numbers[..], letters.as_bytes(), digits.as_bytes()] {
                assert!(!is_compressed(text), "{length}");
            }
        }
        assert!(!is_compressed(&(0..200).map(|_| random.u8(..)).collect::<Vec<_>>()), "too short to tell");
    }
}
