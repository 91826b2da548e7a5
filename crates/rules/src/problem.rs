//! What is wrong with a condition, where, and what was probably meant.

use crate::limits::PROBLEMS_MAX;
use std::fmt;

/// Where in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Characters (not bytes) of the text, from 0, the end excluded.
    Chars { start: usize, end: usize },
    /// A JSON pointer (RFC 6901) into the JSON form.
    Pointer(String),
}

/// The kind of a problem, stable for programs and translations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Syntax,
    UnknownTag,
    UnknownValue,
    UnknownArea,
    UnknownList,
    UnknownUnit,
    /// The operator does not fit the tag's type.
    WrongOperator,
    /// The value does not fit the tag's type.
    WrongType,
    /// A number or day that the type cannot hold exactly.
    OutOfRange,
    TooLong,
    TooDeep,
    TooManyClauses,
    TooManyValues,
}

impl Code {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownTag => "unknown_tag",
            Self::UnknownValue => "unknown_value",
            Self::UnknownArea => "unknown_area",
            Self::UnknownList => "unknown_list",
            Self::UnknownUnit => "unknown_unit",
            Self::WrongOperator => "wrong_operator",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::TooLong => "too_long",
            Self::TooDeep => "too_deep",
            Self::TooManyClauses => "too_many_clauses",
            Self::TooManyValues => "too_many_values",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    pub place: Place,
    /// What is wrong: "unknown tag `apru`".
    pub message: String,
    /// What was expected, if that says more than the suggestions.
    pub expected: Option<String>,
    /// What was probably meant, the nearest first; at most three.
    pub suggestions: Vec<String>,
}

impl Problem {
    pub(crate) fn new(code: Code, place: Place, message: impl Into<String>, expected: impl Into<String>) -> Self {
        let expected = Some(expected.into()).filter(|e| !e.is_empty());
        Self { code, place, message: message.into(), expected, suggestions: Vec::new() }
    }
    pub(crate) fn suggest(mut self, suggestions: Vec<String>) -> Self {
        self.suggestions = suggestions;
        self
    }
}

impl fmt::Display for Problem {
    /// One line: message; expected; did you mean.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        for (i, s) in self.suggestions.iter().enumerate() {
            let before = match i {
                0 => "; did you mean ",
                _ if i + 1 == self.suggestions.len() => " or ",
                _ => ", ",
            };
            write!(f, "{before}`{s}`")?;
        }
        if self.suggestions.is_empty() { Ok(()) } else { f.write_str("?") }
    }
}

/// Everything that is wrong with one condition, from left to right; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    all: Vec<Problem>,
    /// Problems past [`PROBLEMS_MAX`], counted only.
    more: usize,
    text: Option<String>,
}

impl Problems {
    pub(crate) fn new(mut all: Vec<Problem>, text: Option<&str>) -> Self {
        all.sort_by_cached_key(|p| match &p.place {
            Place::Chars { start, .. } => (*start, Vec::new()),
            // rules by number, then the keys of a rule
            Place::Pointer(pointer) => {
                (0, pointer.split('/').map(|s| (s.parse::<usize>().unwrap_or(0), s.to_owned())).collect())
            }
        });
        let more = all.len().saturating_sub(PROBLEMS_MAX);
        all.truncate(PROBLEMS_MAX);
        Self { all, more, text: text.map(str::to_owned) }
    }
    pub fn all(&self) -> &[Problem] {
        &self.all
    }
    /// How many were left out of [`Problems::all`].
    pub fn more(&self) -> usize {
        self.more
    }
    /// Every problem with its line of the source and a caret under the place.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for p in &self.all {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&p.to_string());
            match (&p.place, &self.text) {
                (Place::Chars { start, end }, Some(text)) => out.push_str(&excerpt(text, *start, *end)),
                (Place::Pointer(pointer), _) => {
                    out.push_str("\n  at ");
                    out.push_str(if pointer.is_empty() { "the whole" } else { pointer });
                }
                _ => {}
            }
        }
        if self.more > 0 {
            out.push_str(&format!("\nand {} more", self.more));
        }
        out
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}
impl std::error::Error for Problems {}

/// Characters shown before and after a place in a long line.
const AROUND: usize = 60;

/// "\n  line\n  ^^^^" for the line that holds `start`; with the line's number where the text has several lines.
fn excerpt(text: &str, start: usize, end: usize) -> String {
    let (mut line_no, mut line_start) = (1usize, 0usize);
    for (i, c) in text.chars().enumerate().take(start) {
        if c == '\n' {
            (line_no, line_start) = (line_no + 1, i + 1);
        }
    }
    let line: Vec<char> = text.chars().skip(line_start).take_while(|&c| c != '\n' && c != '\r').collect();
    if line.iter().all(|c| c.is_whitespace()) {
        return String::new();
    }
    let at = (start - line_start).min(line.len());
    let to = end.saturating_sub(line_start).clamp(at, line.len());
    let from = at.saturating_sub(AROUND);
    let until = (to.min(at + AROUND) + AROUND).min(line.len());
    let number = if text.contains('\n') { format!("{line_no}: ") } else { String::new() };
    let (left, right) = (if from > 0 { "…" } else { "" }, if until < line.len() { "…" } else { "" });
    let shown: String = line[from..until].iter().map(|&c| visible(c)).collect();
    let mut caret: String = number.chars().chain(left.chars()).map(|_| ' ').collect();
    caret.extend(line[from..at].iter().map(|&c| if is_wide(c) { '\u{3000}' } else { ' ' }));
    let under = to.min(until);
    caret.extend(line[at..under].iter().flat_map(|&c| if is_wide(c) { ['^', '^'].iter() } else { ['^'].iter() }));
    if under == at {
        caret.push('^');
    }
    format!("\n  {number}{left}{shown}{right}\n  {caret}")
}

/// Tabs as blanks and other control characters as a box, so that a terminal keeps the columns.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// Whether a terminal gives the character two columns (the wide blocks of Unicode's East Asian Width).
fn is_wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}
