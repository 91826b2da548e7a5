//! The words of a text, enum or set: the dictionary of a column, as bytes and in the making.
//!
//! `n` u32, order n × u32 (codes by their words, ascending), ends n × u32, the words one after another. The code of a
//! word is its place; codes are given in order of first appearance.

use crate::{
    error::{BuildError, IndexError},
    form::u32_at,
    format::{NAME_MAX, WORD_BYTES_MAX, WORDS_MAX},
};
use kairos_model::hash::FixedMap;

/// A dictionary in its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    bytes: &'a [u8],
    n: usize,
}

impl<'a> Words<'a> {
    /// `None` where the tables do not fit into the bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let n = u32_at(bytes, 0)? as usize;
        (bytes.len() >= 4 + n.checked_mul(8)?).then_some(Self { bytes, n })
    }
    pub(crate) fn len(&self) -> usize {
        self.n
    }
    /// The word of a code; empty where the dictionary does not have it.
    pub(crate) fn word(&self, code: u32) -> &'a str {
        let end = |i: usize| u32_at(self.bytes, 4 + 4 * self.n + 4 * i).map(|e| e as usize);
        let i = code as usize;
        if i >= self.n {
            return "";
        }
        let text = 4 + 8 * self.n;
        let start = if i == 0 { Some(0) } else { end(i - 1) };
        let found = start.zip(end(i)).and_then(|(s, e)| self.bytes.get(text + s..text + e));
        found.and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
    }
    fn at(&self, place: usize) -> u32 {
        u32_at(self.bytes, 4 + 4 * place).unwrap_or(u32::MAX)
    }
    /// The first place in order whose word does not satisfy `before`.
    fn partition(&self, before: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.n);
        while low < high {
            let mid = low + (high - low) / 2;
            if before(self.word(self.at(mid))) { low = mid + 1 } else { high = mid }
        }
        low
    }
    pub(crate) fn code(&self, word: &str) -> Option<u32> {
        let place = self.partition(|w| w < word);
        (place < self.n).then(|| self.at(place)).filter(|c| self.word(*c) == word)
    }
    /// Codes of the words from the first that is not `below` to the last that is not `above`, ascending.
    pub(crate) fn between(&self, below: impl Fn(&str) -> bool, above: impl Fn(&str) -> bool) -> Vec<u32> {
        let (from, to) = (self.partition(below), self.partition(|w| !above(w)));
        let mut codes: Vec<u32> = (from..to.max(from)).map(|i| self.at(i)).collect();
        codes.sort_unstable();
        codes
    }
    /// Codes of the words that satisfy `holds`, ascending.
    pub(crate) fn filter(&self, holds: impl Fn(&str) -> bool) -> Vec<u32> {
        (0..self.n as u32).filter(|c| holds(self.word(*c))).collect()
    }
    /// Whether the tables agree with each other: ends ascend, words are UTF-8, the order ascends strictly.
    pub(crate) fn check(&self) -> Result<(), IndexError> {
        let wrong = |what: &str| Err(IndexError::damaged("a dictionary", what));
        let (mut last, text) = (0usize, 4 + 8 * self.n);
        for i in 0..self.n {
            let end = u32_at(self.bytes, 4 + 4 * self.n + 4 * i).map_or(0, |e| e as usize);
            let word = self.bytes.get(text + last..text + end).map(std::str::from_utf8);
            if end < last || !matches!(word, Some(Ok(_))) {
                return wrong("a word lies outside of it or is no UTF-8");
            }
            last = end;
        }
        let codes = (0..self.n).all(|i| (self.at(i) as usize) < self.n);
        if !codes || (1..self.n).any(|i| self.word(self.at(i - 1)) >= self.word(self.at(i))) {
            return wrong("its order is not that of its words");
        }
        Ok(())
    }
}

/// A dictionary in the making.
#[derive(Default)]
pub(crate) struct WordMaker {
    codes: FixedMap<Box<str>, u32>,
    bytes: usize,
    /// No word may be added: the vocabulary is closed.
    closed: bool,
}

impl WordMaker {
    /// The words of a vocabulary in their order; closed unless it is empty and `open`.
    pub(crate) fn of<'w>(
        column: &str,
        words: impl IntoIterator<Item = &'w str>,
        open: bool,
    ) -> Result<Self, BuildError> {
        let mut made = Self::default();
        for w in words {
            let n = made.codes.len();
            if made.code(column, w)? as usize != n {
                return Err(BuildError::column(column, format!("the word `{w}` is twice in its vocabulary")));
            }
        }
        made.closed = !open;
        Ok(made)
    }
    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }
    /// The code of a word, which it gets now if it has none.
    pub(crate) fn code(&mut self, column: &str, word: &str) -> Result<u32, BuildError> {
        if let Some(code) = self.codes.get(word) {
            return Ok(*code);
        }
        if self.closed {
            let shown: String = word.chars().take(40).collect();
            return Err(BuildError::column(column, format!("`{shown}` is not in its vocabulary; pass it as NULL")));
        }
        let bytes = self.bytes + word.len();
        if word.len() > NAME_MAX || self.codes.len() >= WORDS_MAX || bytes > WORD_BYTES_MAX {
            let what = format!(
                "its texts are past a limit ({WORDS_MAX} different ones, {NAME_MAX} bytes each, {WORD_BYTES_MAX} bytes \
                 in all); a tag for conditions needs fewer words"
            );
            return Err(BuildError::column(column, what));
        }
        let code = self.codes.len() as u32;
        self.codes.insert(word.into(), code);
        self.bytes = bytes;
        Ok(code)
    }
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut words = vec![""; self.codes.len()];
        self.codes.iter().for_each(|(w, c)| words[*c as usize] = w);
        let mut order: Vec<u32> = (0..words.len() as u32).collect();
        order.sort_unstable_by_key(|c| words[*c as usize]);
        let mut out = Vec::with_capacity(4 + 8 * words.len() + self.bytes);
        out.extend_from_slice(&(words.len() as u32).to_le_bytes());
        order.iter().for_each(|c| out.extend_from_slice(&c.to_le_bytes()));
        let mut end = 0u32;
        for w in &words {
            end += w.len() as u32;
            out.extend_from_slice(&end.to_le_bytes());
        }
        words.iter().for_each(|w| out.extend_from_slice(w.as_bytes()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_name_range_and_content() {
        let mut m = WordMaker::of("plan", [], true).unwrap();
        for w in ["b", "天气", "a", "ab", "", "天"] {
            m.code("plan", w).unwrap();
        }
        let bytes = m.write();
        let w = Words::new(&bytes).unwrap();
        assert_eq!(w.check(), Ok(()));
        assert_eq!((w.code("天气"), w.code("天"), w.code("c"), w.code("")), (Some(1), Some(5), None, Some(4)));
        assert_eq!(w.between(|x| x < "a", |x| x > "ab"), [2, 3]);
        assert_eq!(w.between(|x| x < "z", |x| x > "a"), [] as [u32; 0]);
        assert_eq!(w.filter(|x| x.contains('天')), [1, 5]);
        assert_eq!(w.word(6), "");
    }

    #[test]
    fn a_closed_vocabulary_takes_no_word_and_no_word_twice() {
        let mut m = WordMaker::of("brand", ["gotone", "mzone"], false).unwrap();
        assert_eq!(m.code("brand", "mzone").unwrap(), 1);
        assert_eq!(
            m.code("brand", "other").unwrap_err().to_string(),
            "column `brand`: `other` is not in its vocabulary; pass it as NULL"
        );
        assert!(WordMaker::of("brand", ["a", "a"], false).is_err());
    }
}
