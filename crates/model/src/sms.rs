//! SMS text arithmetic: alphabet, length, segments. Source: 3GPP TS 23.038 §6.2.1, TS 23.040 §9.2.3.24.1.

/// The alphabet a text travels in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alphabet {
    /// GSM 7-bit default alphabet with its extension table; SMPP data_coding 0.
    Gsm7,
    /// UTF-16BE; SMPP data_coding 8.
    Ucs2,
}

/// A text cut into segments. Each segment's octets are one septet a byte (GSM-7, unpacked, as SMPP carries it) or UTF-16BE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    pub alphabet: Alphabet,
    pub segments: Vec<Vec<u8>>,
}

/// A text needs more segments than may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text needs {needed} segments, more than the {max} allowed; shorten it by about {excess} characters")]
pub struct TooLong {
    pub needed: usize,
    pub max: usize,
    pub excess: usize,
}

/// GSM default alphabet, index = code; `\u{1b}` marks the escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0a),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2f),
    ('[', 0x3c),
    ('~', 0x3d),
    (']', 0x3e),
    ('|', 0x40),
    ('€', 0x65),
];

/// Septets of a character: one, two behind an escape, or `None` outside the alphabet.
fn gsm7(c: char) -> Option<([u8; 2], usize)> {
    if c == '\u{1b}' {
        return None;
    }
    if c.is_ascii_alphanumeric() || c == ' ' {
        return Some(([c as u8, 0], 1));
    }
    if let Some(i) = BASIC.chars().position(|b| b == c) {
        return Some(([i as u8, 0], 1));
    }
    EXTENSION.iter().find(|(e, _)| *e == c).map(|&(_, code)| ([0x1b, code], 2))
}

impl Alphabet {
    /// GSM-7 if every character has a place in it, else UCS-2.
    pub fn of(text: &str) -> Self {
        if text.chars().all(|c| gsm7(c).is_some()) { Self::Gsm7 } else { Self::Ucs2 }
    }
    /// Octets of our unpacked form in one segment: alone, and as a part of several (six octets go to the header).
    const fn room(self) -> (usize, usize) {
        match self {
            Self::Gsm7 => (160, 153),
            Self::Ucs2 => (140, 134),
        }
    }
}

/// Cuts `text` into segments; an escape pair or a surrogate pair is never cut apart. An empty text is one empty segment.
pub fn encode(text: &str) -> Encoded {
    let alphabet = Alphabet::of(text);
    let (alone, part) = alphabet.room();
    let mut units: Vec<([u8; 4], usize)> = Vec::with_capacity(text.len());
    for c in text.chars() {
        let mut octets = [0u8; 4];
        let n = match (alphabet, gsm7(c)) {
            (Alphabet::Gsm7, Some((septets, n))) => {
                octets[..n].copy_from_slice(&septets[..n]);
                n
            }
            _ => {
                let mut buffer = [0u16; 2];
                let utf16 = c.encode_utf16(&mut buffer);
                utf16.iter().enumerate().for_each(|(i, u)| octets[2 * i..2 * i + 2].copy_from_slice(&u.to_be_bytes()));
                2 * utf16.len()
            }
        };
        units.push((octets, n));
    }
    let total: usize = units.iter().map(|u| u.1).sum();
    let room = if total <= alone { alone } else { part };
    let mut segments = vec![Vec::with_capacity(room)];
    for (octets, n) in units {
        let last = segments.len() - 1;
        if segments[last].len() + n > room {
            segments.push(Vec::with_capacity(room));
        }
        let last = segments.len() - 1;
        segments[last].extend_from_slice(&octets[..n]);
    }
    Encoded { alphabet, segments }
}

/// Number of segments of a text.
pub fn segments(text: &str) -> usize {
    encode(text).segments.len()
}

/// Encodes, or says by how much the text is too long.
pub fn encode_within(text: &str, max_segments: usize) -> Result<Encoded, TooLong> {
    let e = encode(text);
    if e.segments.len() <= max_segments {
        return Ok(e);
    }
    let octets: usize = e.segments.iter().map(Vec::len).sum();
    let (alone, part) = e.alphabet.room();
    let room = if max_segments == 1 { alone } else { part * max_segments };
    let per_char = if e.alphabet == Alphabet::Ucs2 { 2 } else { 1 };
    Err(TooLong {
        needed: e.segments.len(),
        max: max_segments,
        excess: octets.saturating_sub(room).div_ceil(per_char).max(1),
    })
}

/// The text of one segment's octets, as a handset shows it; `None` for octets outside the alphabet.
pub fn decode(alphabet: Alphabet, octets: &[u8]) -> Option<String> {
    match alphabet {
        Alphabet::Ucs2 => {
            if !octets.len().is_multiple_of(2) {
                return None;
            }
            let units = octets.chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]]));
            char::decode_utf16(units).collect::<Result<String, _>>().ok()
        }
        Alphabet::Gsm7 => {
            let basic: Vec<char> = BASIC.chars().collect();
            let mut text = String::with_capacity(octets.len());
            let mut bytes = octets.iter();
            while let Some(&b) = bytes.next() {
                if b == 0x1b {
                    let code = *bytes.next()?;
                    text.push(EXTENSION.iter().find(|e| e.1 == code)?.0);
                } else {
                    text.push(*basic.get(usize::from(b))?);
                }
            }
            Some(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn segments_at_the_limits() {
        for (text, want) in [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("你".repeat(70), 1),
            ("你".repeat(71), 2),
            ("你".repeat(134), 2),
            ("你".repeat(135), 3),
            ("😀".repeat(35), 1),
            ("😀".repeat(36), 2),
        ] {
            assert_eq!(segments(&text), want, "{} characters", text.chars().count());
        }
    }

    #[test]
    fn a_pair_is_never_cut() {
        let e = encode(&format!("{}€{}", "a".repeat(152), "b".repeat(20)));
        assert_eq!(e.segments[0].len(), 152);
        let e = encode(&format!("{}😀{}", "你".repeat(66), "好".repeat(20)));
        assert_eq!(e.segments[0].len(), 132);
    }

    #[test]
    fn too_long_says_by_how_much() {
        assert_eq!(encode_within(&"你".repeat(75), 1), Err(TooLong { needed: 2, max: 1, excess: 5 }));
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(text in "[a-zA-Z0-9@£$^{}€ÄÖ]{0,400}|[一-龥a-z😀]{0,200}") {
            let e = encode(&text);
            let back: Option<String> = e.segments.iter().map(|s| decode(e.alphabet, s)).collect();
            prop_assert_eq!(back.as_deref(), Some(text.as_str()));
        }
    }
}
