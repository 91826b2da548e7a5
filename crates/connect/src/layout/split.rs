//! Records and fields out of bytes: RFC 4180 quotes, any delimiter, CRLF or LF, in one pass over each record.
//!
//! Why not the `csv` crate: it takes one-byte delimiters only, reads a record of any length into memory, and does not keep
//! the raw bytes of a bad row. A property test holds this splitter equal to it wherever both apply.

/// How records are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splitter {
    delimiter: Vec<u8>,
    quote: Option<u8>,
}

/// The fields of one record. Ranges into the record's own bytes, or, of a record with quotes, into `scratch`.
#[derive(Default)]
pub(crate) struct Fields {
    pub ranges: Vec<(u32, u32)>,
    /// Fields with quotes removed and doubled quotes undone.
    pub scratch: Vec<u8>,
    pub quoted: bool,
    /// Text stood between a closing quote and the next delimiter.
    pub text_after_quote: bool,
}

/// What lies at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A record of `len` bytes with its line end; the fields are filled.
    Record {
        len: usize,
    },
    /// Nothing but a line end.
    Blank {
        len: usize,
    },
    /// The record is not complete in these bytes.
    More,
    /// The file ends inside quotes.
    Unclosed,
    End,
}

impl Splitter {
    /// `delimiter` is not empty and holds neither the quote nor a line end: the layout's parser refuses those.
    pub fn new(delimiter: &str, quote: Option<u8>) -> Self {
        Self { delimiter: delimiter.as_bytes().to_vec(), quote }
    }

    /// Cuts the first record of `data`; `eof` says that no more bytes follow.
    pub fn cut(&self, data: &[u8], eof: bool, fields: &mut Fields) -> Cut {
        fields.ranges.clear();
        (fields.quoted, fields.text_after_quote) = (false, false);
        match data {
            [] => return if eof { Cut::End } else { Cut::More },
            [b'\n', ..] => return Cut::Blank { len: 1 },
            [b'\r', b'\n', ..] => return Cut::Blank { len: 2 },
            [first, ..] if self.quote == Some(*first) => return self.cut_quoted(data, eof, fields),
            _ => {}
        }
        let (mut start, mut at) = (0, 0);
        let (delimiter, newline) = (splat(self.delimiter[0]), splat(b'\n'));
        while let Some(bytes) = data.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*bytes);
            let mut hits = equal_bytes(word, delimiter) | equal_bytes(word, newline);
            while hits != 0 {
                let place = at + (hits.trailing_zeros() / 8) as usize;
                hits &= hits - 1;
                if let Some(cut) = self.hit(data, eof, place, &mut start, fields) {
                    return cut;
                }
            }
            at += 8;
        }
        for place in at..data.len() {
            if (data[place] == self.delimiter[0] || data[place] == b'\n')
                && let Some(cut) = self.hit(data, eof, place, &mut start, fields)
            {
                return cut;
            }
        }
        if !eof {
            return Cut::More;
        }
        push(&mut fields.ranges, start, without_cr(data, start, data.len()));
        Cut::Record { len: data.len() }
    }

    /// A delimiter's first byte or a line end stands at `place`.
    #[inline]
    fn hit(&self, data: &[u8], eof: bool, place: usize, start: &mut usize, fields: &mut Fields) -> Option<Cut> {
        if data[place] == b'\n' {
            push(&mut fields.ranges, *start, without_cr(data, *start, place));
            return Some(Cut::Record { len: place + 1 });
        }
        if place < *start || (self.delimiter.len() > 1 && !data[place..].starts_with(&self.delimiter)) {
            return None;
        }
        push(&mut fields.ranges, *start, place);
        *start = place + self.delimiter.len();
        if self.quote.is_some() && data.get(*start).copied() == self.quote {
            return Some(self.cut_quoted(data, eof, fields));
        }
        None
    }

    /// The whole record again, from its start, with quotes undone into `scratch`.
    fn cut_quoted(&self, data: &[u8], eof: bool, fields: &mut Fields) -> Cut {
        let Some(quote) = self.quote else { return Cut::More };
        fields.ranges.clear();
        fields.scratch.clear();
        fields.quoted = true;
        let mut at = 0;
        loop {
            let start = fields.scratch.len();
            let opened = data.get(at) == Some(&quote);
            if opened {
                match unquote(data, at + 1, quote, eof, &mut fields.scratch) {
                    Ok(after) => at = after,
                    Err(cut) => return cut,
                }
            }
            let rest = at;
            let (end, stop) = loop {
                match data.get(at) {
                    None if eof => break (data.len(), Stop::Record { len: data.len() }),
                    None => return Cut::More,
                    Some(b'\n') => break (at, Stop::Record { len: at + 1 }),
                    Some(b) if *b == self.delimiter[0] && data[at..].starts_with(&self.delimiter) => {
                        break (at, Stop::Field);
                    }
                    Some(_) => at += 1,
                }
            };
            let end = if matches!(stop, Stop::Record { .. }) { without_cr(data, rest, end) } else { end };
            fields.text_after_quote |= opened && end > rest;
            fields.scratch.extend_from_slice(&data[rest..end]);
            push(&mut fields.ranges, start, fields.scratch.len());
            match stop {
                Stop::Record { len } => return Cut::Record { len },
                Stop::Field => at += self.delimiter.len(),
            }
        }
    }
}

enum Stop {
    Field,
    Record { len: usize },
}

/// Copies a quoted field's text from `at`, behind its opening quote; gives the place behind the closing one.
fn unquote(data: &[u8], mut at: usize, quote: u8, eof: bool, out: &mut Vec<u8>) -> Result<usize, Cut> {
    loop {
        let Some(found) = data.get(at..).and_then(|d| find(d, quote)) else {
            return Err(if eof { Cut::Unclosed } else { Cut::More });
        };
        out.extend_from_slice(&data[at..at + found]);
        at += found + 1;
        match data.get(at) {
            Some(b) if *b == quote => {
                out.push(quote);
                at += 1;
            }
            None if !eof => return Err(Cut::More),
            _ => return Ok(at),
        }
    }
}

fn push(ranges: &mut Vec<(u32, u32)>, from: usize, to: usize) {
    ranges.push((from as u32, to as u32));
}

fn without_cr(data: &[u8], start: usize, end: usize) -> usize {
    if end > start && data[end - 1] == b'\r' { end - 1 } else { end }
}

const fn splat(b: u8) -> u64 {
    b as u64 * 0x0101_0101_0101_0101
}

/// The top bit of each byte of `word` that equals the byte splatted over `needle`; exact, no false positives.
/// (H. S. Warren, "Hacker's Delight", 6-1: find a zero byte.)
const fn equal_bytes(word: u64, needle: u64) -> u64 {
    const LOW7: u64 = splat(0x7f);
    let x = word ^ needle;
    !(((x & LOW7) + LOW7) | x | LOW7)
}

/// The first place of `byte`.
pub(crate) fn find(data: &[u8], byte: u8) -> Option<usize> {
    let needle = splat(byte);
    let (words, rest) = data.as_chunks::<8>();
    for (i, bytes) in words.iter().enumerate() {
        let hits = equal_bytes(u64::from_le_bytes(*bytes), needle);
        if hits != 0 {
            return Some(i * 8 + (hits.trailing_zeros() / 8) as usize);
        }
    }
    rest.iter().position(|b| *b == byte).map(|p| data.len() - rest.len() + p)
}

/// Splits one line without quotes: for headers whose delimiter is in doubt.
pub(crate) fn plain_split<'a>(line: &'a str, delimiter: &str) -> Vec<&'a str> {
    line.split(delimiter).map(|f| f.trim_matches(['"', ' '])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(splitter: &Splitter, data: &[u8]) -> Vec<Vec<String>> {
        let (mut at, mut out, mut fields) = (0, Vec::new(), Fields::default());
        loop {
            match splitter.cut(&data[at..], true, &mut fields) {
                Cut::Record { len } => {
                    let base = if fields.quoted { &fields.scratch[..] } else { &data[at..at + len] };
                    let text =
                        |&(a, b): &(u32, u32)| String::from_utf8_lossy(&base[a as usize..b as usize]).into_owned();
                    out.push(fields.ranges.iter().map(text).collect());
                    at += len;
                }
                Cut::Blank { len } => at += len,
                Cut::End => return out,
                Cut::Unclosed | Cut::More => {
                    out.push(vec!["unclosed".to_owned()]);
                    return out;
                }
            }
        }
    }

    #[test]
    fn records_are_cut_at_their_delimiters() {
        type Case<'a> = (&'a str, Option<u8>, &'a str, &'a [&'a [&'a str]]);
        let table: &[Case<'_>] = &[
            (",", Some(b'"'), "a,b,c\r\nd,,\n\ne", &[&["a", "b", "c"], &["d", "", ""], &["e"]]),
            (",", Some(b'"'), "\"a,\r\n\"\"b\",c\n", &[&["a,\r\n\"b", "c"]]),
            (",", Some(b'"'), "x,\"\"\r\n5\" tall,y", &[&["x", ""], &["5\" tall", "y"]]),
            (",", None, "\"a,b\"\n", &[&["\"a", "b\""]]),
            ("|@|", None, "a|@|b|@||@|c|@\n|@|", &[&["a", "b", "", "c|@"], &["", ""]]),
            ("||", None, "a|||b\n", &[&["a", "|b"]]),
            ("|@|", Some(b'"'), "\"a|@|b\"|@|c\n", &[&["a|@|b", "c"]]),
            ("\t", Some(b'"'), "long enough for words\tb\tlast\n", &[&["long enough for words", "b", "last"]]),
            ("、", None, "甲、乙\n丙、\n", &[&["甲", "乙"], &["丙", ""]]),
            (",", Some(b'"'), "a,\"b\n", &[&["unclosed"]]),
        ];
        for (delimiter, quote, text, want) in table {
            assert_eq!(cut_all(&Splitter::new(delimiter, *quote), text.as_bytes()), *want, "{text:?}");
        }
    }

    #[test]
    fn a_record_that_is_not_whole_asks_for_more_whatever_the_cut() {
        let text = b"\"a\"\"b\",c|\"d\r\ne\"\r\nnext";
        let splitter = Splitter::new(",", Some(b'"'));
        let (mut whole, mut part) = (Fields::default(), Fields::default());
        let Cut::Record { len } = splitter.cut(text, false, &mut whole) else { panic!("a record") };
        for end in 0..len {
            assert_eq!(splitter.cut(&text[..end], false, &mut part), Cut::More, "{end}");
        }
    }

    #[test]
    fn text_behind_a_closing_quote_is_noticed() {
        let splitter = Splitter::new(",", Some(b'"'));
        for (text, want) in [("\"a\"b,c\n", true), ("\"a\" ,c\n", true), ("\"a\",c\n", false), ("c,\"a\"\r\n", false)] {
            let mut fields = Fields::default();
            assert!(matches!(splitter.cut(text.as_bytes(), true, &mut fields), Cut::Record { .. }));
            assert_eq!(fields.text_after_quote, want, "{text:?}");
        }
    }
}
