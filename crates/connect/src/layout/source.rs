//! Bytes of a file: opened, hashed as they pass, decompressed by their magic bytes, and turned into UTF-8.

use super::spec::Encoding;
use encoding_rs::{Decoder, DecoderResult};
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

/// One read of the disk; large enough for the hash to use its wide instructions.
const BLOCK: usize = 256 * 1024;
/// Windows of compressed frames above 128 MiB are refused: the layout reader's memory is bounded.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// A byte that stands in no UTF-8: marks bytes that the file's encoding does not know.
const MARK: u8 = 0xFF;

/// BLAKE3 of a file's raw bytes, as [`super::Reader::content_hash`] gives it after the last chunk.
pub fn content_hash(path: &Path) -> io::Result<[u8; 32]> {
    let mut raw = Raw::new(Box::new(File::open(path)?));
    raw.drain()?;
    Ok(raw.hash())
}

/// The file as it is on disk, hashed and counted on the way.
pub(crate) struct Raw {
    inner: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    read: u64,
}

impl Raw {
    pub fn new(inner: Box<dyn Read + Send>) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), read: 0 }
    }
    fn drain(&mut self) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        while self.read(&mut block)? > 0 {}
        Ok(())
    }
    fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

impl Read for Raw {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = loop {
            match self.inner.read(out) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.hasher.update(&out[..n]);
        self.read += n as u64;
        Ok(n)
    }
}

/// How the file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
}

/// What the first bytes say that is no text at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotText {
    Parquet,
    ZipOrWorkbook,
    Utf16,
    OtherPacking,
}

/// The first bytes, which were looked at, and the rest.
type Whole = BufReader<io::Chain<io::Cursor<Vec<u8>>, Raw>>;

enum Unpacked {
    Plain(Box<Whole>),
    Gzip(Box<MultiGzDecoder<Whole>>),
    Zstd(Box<zstd::Decoder<'static, Whole>>),
}

/// Decompressed UTF-8, with the marks of [`Transcoder`] where the file was not decodable.
pub(crate) struct Source {
    bytes: Unpacked,
    transcoder: Option<Transcoder>,
    hash: Option<[u8; 32]>,
}

impl Source {
    pub fn new(mut raw: Raw, encoding: Encoding) -> io::Result<Result<(Self, Packing), NotText>> {
        let mut magic = Vec::with_capacity(8);
        raw.by_ref().take(8).read_to_end(&mut magic)?;
        let head = magic.clone();
        let raw = BufReader::with_capacity(BLOCK, io::Cursor::new(head).chain(raw));
        let (bytes, packing) = match magic[..] {
            [0x1f, 0x8b, ..] => (Unpacked::Gzip(Box::new(MultiGzDecoder::new(raw))), Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let mut decoder = zstd::Decoder::with_buffer(raw)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                (Unpacked::Zstd(Box::new(decoder)), Packing::Zstd)
            }
            [b'P', b'A', b'R', b'1', ..] => return Ok(Err(NotText::Parquet)),
            [b'P', b'K', 3, 4, ..] => return Ok(Err(NotText::ZipOrWorkbook)),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => {
                return Ok(Err(NotText::OtherPacking));
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Ok(Err(NotText::Utf16)),
            _ => (Unpacked::Plain(Box::new(raw)), Packing::None),
        };
        let transcoder = Transcoder::new(encoding);
        Ok(Ok((Self { bytes, transcoder, hash: None }, packing)))
    }

    /// Appends up to `want` bytes; 0 = the end.
    pub fn fill(&mut self, out: &mut Vec<u8>, want: usize) -> io::Result<usize> {
        let before = out.len();
        let n = match &mut self.transcoder {
            None => {
                out.resize(before + want, 0);
                let n = self.bytes.read(&mut out[before..]);
                out.truncate(before + *n.as_ref().unwrap_or(&0));
                n?
            }
            Some(t) => t.fill(&mut self.bytes, out, want)?,
        };
        if n == 0 && self.hash.is_none() {
            let raw = self.bytes.raw();
            raw.drain()?;
            self.hash = Some(raw.hash());
        }
        Ok(n)
    }

    /// Raw bytes taken from the disk so far.
    pub fn bytes_read(&self) -> u64 {
        match &self.bytes {
            Unpacked::Plain(r) => r.get_ref().get_ref().1.read,
            Unpacked::Gzip(r) => r.get_ref().get_ref().get_ref().1.read,
            Unpacked::Zstd(r) => r.get_ref().get_ref().get_ref().1.read,
        }
    }

    /// Known once the end was seen.
    pub fn content_hash(&self) -> Option<[u8; 32]> {
        self.hash
    }
}

impl Unpacked {
    fn raw(&mut self) -> &mut Raw {
        match self {
            Self::Plain(r) => r.get_mut().get_mut().1,
            Self::Gzip(r) => r.get_mut().get_mut().get_mut().1,
            Self::Zstd(r) => r.get_mut().get_mut().get_mut().1,
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = match self {
                Self::Plain(r) => r.read(out),
                Self::Gzip(r) => r.read(out),
                Self::Zstd(r) => r.read(out),
            };
            match n {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Turns another encoding into UTF-8, strictly. Bytes that it does not know become a [`MARK`] and two continuation bytes
/// that carry the byte, so that the row, and only the row, fails later, and its raw bytes can be given back.
struct Transcoder {
    decoder: Decoder,
    input: Vec<u8>,
    /// The last bytes handed to the decoder before the present block: a malformed sequence may begin there.
    before: [u8; 8],
    done: bool,
}

impl Transcoder {
    fn new(encoding: Encoding) -> Option<Self> {
        let decoder = encoding.other()?.new_decoder_without_bom_handling();
        Some(Self { decoder, input: Vec::new(), before: [0; 8], done: false })
    }

    fn fill(&mut self, from: &mut Unpacked, out: &mut Vec<u8>, want: usize) -> io::Result<usize> {
        let before = out.len();
        while out.len() == before && !self.done {
            self.input.resize(want.max(64), 0);
            let n = from.read(&mut self.input)?;
            self.done = n == 0;
            self.decode(n, out);
        }
        Ok(out.len() - before)
    }

    fn decode(&mut self, n: usize, out: &mut Vec<u8>) {
        let (mut at, last) = (0, n == 0);
        loop {
            // ≤ 3 bytes of UTF-8 for each byte of GBK or GB18030
            let room = (n - at) * 3 + 16;
            let start = out.len();
            out.resize(start + room, 0);
            let (result, took, wrote) =
                self.decoder.decode_to_utf8_without_replacement(&self.input[at..n], &mut out[start..], last);
            out.truncate(start + wrote);
            at += took;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(len, after) => {
                    let end = at as isize - after as isize;
                    for i in end - len as isize..end {
                        let byte = if i < 0 { self.before[(8 + i).max(0) as usize] } else { self.input[i as usize] };
                        out.extend([MARK, 0x80 | byte >> 4, 0x80 | byte & 15]);
                    }
                }
            }
        }
        for &b in &self.input[n.saturating_sub(8)..n] {
            self.before.rotate_left(1);
            self.before[7] = b;
        }
    }
}

/// The bytes of the file behind a record that the transcoder made. Equal to the file's but for characters that the
/// encoding can write in two ways.
pub(crate) fn original(record: &[u8], encoding: Encoding) -> Vec<u8> {
    let Some(other) = encoding.other() else { return record.to_vec() };
    let mut out = Vec::with_capacity(record.len());
    let mut rest = record;
    while !rest.is_empty() {
        let text = match rest.iter().position(|b| *b == MARK) {
            Some(p) => &rest[..p],
            None => rest,
        };
        out.extend_from_slice(&other.encode(&String::from_utf8_lossy(text)).0);
        rest = &rest[text.len()..];
        if let [MARK, high, low, after @ ..] = rest {
            out.push((high & 15) << 4 | low & 15);
            rest = after;
        } else if let [_, after @ ..] = rest {
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
        let raw = Raw::new(Box::new(io::Cursor::new(bytes.to_vec())));
        let (mut source, _) = Source::new(raw, encoding).expect("memory").expect("text");
        let mut out = Vec::new();
        while source.fill(&mut out, 3).expect("memory") > 0 {}
        assert_eq!(source.content_hash(), Some(*blake3::hash(bytes).as_bytes()));
        out
    }

    #[test]
    fn what_gbk_does_not_know_is_marked_and_given_back() {
        // 0x81 before a line end, 0xFF alone, and a lead byte at the end of the file
        let bytes = b"\xd6\xd0\xb9\xfa,a\n\x81\nb\xff\x40c\nd\xb9";
        let out = source(bytes, Encoding::Gbk);
        assert_eq!(out.iter().filter(|b| **b == MARK).count(), 3);
        assert_eq!(out.split(|b| *b == b'\n').next().map(String::from_utf8_lossy).as_deref(), Some("中国,a"));
        let lines = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let back = out.split(|b| *b == b'\n').map(|l| original(l, Encoding::Gbk)).collect::<Vec<_>>();
        assert_eq!(back, lines);
    }

    #[test]
    fn utf8_passes_as_it_is() {
        assert_eq!(source("天气\n".as_bytes(), Encoding::Utf8), "天气\n".as_bytes());
        assert_eq!(source(b"", Encoding::Utf8), b"");
    }
}
