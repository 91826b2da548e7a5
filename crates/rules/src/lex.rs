//! Text to tokens with character positions.

use crate::{
    limits::TEXT_MAX,
    problem::{Code, Place, Problem},
    types::{word_inner, word_start},
};
use kairos_model::LocalDay;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word(String),
    Text(String),
    /// `-?digits(.digits)?`
    Number(String),
    /// `YYYY-MM-DD`
    Date(LocalDay),
    Open,
    Close,
    Comma,
    /// A comparison, spelt as [`crate::tree::Cmp::symbol`].
    Symbol(&'static str),
    /// Something unreadable, reported already.
    Bad,
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
    problems: &'a mut Vec<Problem>,
}

/// Always ends with [`Kind::End`]. Full-width punctuation of Chinese keyboards is read like its ASCII form.
pub(crate) fn lex(text: &str, problems: &mut Vec<Problem>) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0, problems };
    let mut tokens = Vec::new();
    loop {
        while lexer.peek(0).is_some_and(char::is_whitespace) {
            lexer.at += 1;
        }
        let start = lexer.at;
        let Some(c) = lexer.peek(0) else {
            tokens.push(Token { kind: Kind::End, start, end: start });
            return tokens;
        };
        let kind = lexer.token(c);
        tokens.push(Token { kind, start, end: lexer.at });
    }
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }
    fn problem(&mut self, code: Code, start: usize, message: String, expected: &str) -> Kind {
        let place = Place::Chars { start, end: self.at };
        self.problems.push(Problem::new(code, place, message, expected));
        Kind::Bad
    }
    fn take(&mut self, n: usize, kind: Kind) -> Kind {
        self.at += n;
        kind
    }

    fn token(&mut self, c: char) -> Kind {
        match (c, self.peek(1)) {
            ('(' | '（', _) => self.take(1, Kind::Open),
            (')' | '）', _) => self.take(1, Kind::Close),
            (',' | '，' | '、', _) => self.take(1, Kind::Comma),
            ('=', Some('=')) => self.take(2, Kind::Symbol("=")),
            ('=', _) => self.take(1, Kind::Symbol("=")),
            ('!', Some('=')) | ('<', Some('>')) => self.take(2, Kind::Symbol("!=")),
            ('≠', _) => self.take(1, Kind::Symbol("!=")),
            ('<', Some('=')) => self.take(2, Kind::Symbol("<=")),
            ('≤', _) => self.take(1, Kind::Symbol("<=")),
            ('<', _) => self.take(1, Kind::Symbol("<")),
            ('>', Some('=')) => self.take(2, Kind::Symbol(">=")),
            ('≥', _) => self.take(1, Kind::Symbol(">=")),
            ('>', _) => self.take(1, Kind::Symbol(">")),
            ('"' | '\'', _) => self.text(c),
            ('“' | '”', _) => self.text('”'),
            (c, _) if c.is_ascii_digit() => self.number(),
            ('-', Some(d)) if d.is_ascii_digit() => self.number(),
            (c, _) if word_start(c) => self.word(),
            _ => self.stray(c),
        }
    }

    fn stray(&mut self, c: char) -> Kind {
        let start = self.at;
        self.at += 1;
        let meant = match c {
            '&' => Some("and"),
            '|' => Some("or"),
            '!' => Some("not"),
            _ => None,
        };
        if meant.is_some() && self.peek(0) == Some(c) {
            self.at += 1;
        }
        let shown: String = self.chars[start..self.at].iter().collect();
        let place = Place::Chars { start, end: self.at };
        let problem = Problem::new(Code::Syntax, place, format!("`{}` has no meaning here", shown.escape_debug()), "");
        self.problems.push(problem.suggest(meant.map(str::to_owned).into_iter().collect()));
        Kind::Bad
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        while let Some(c) = self.peek(0) {
            let joint = matches!(c, '.' | '-') && self.peek(1).is_some_and(word_inner);
            if !word_inner(c) && !joint {
                break;
            }
            self.at += 1;
        }
        if self.at - start > 64 {
            return self.problem(Code::TooLong, start, "a word of more than 64 characters".into(), "a shorter one");
        }
        Kind::Word(self.chars[start..self.at].iter().collect())
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Kind {
        let start = self.at;
        self.at += usize::from(self.peek(0) == Some('-'));
        self.digits();
        if self.peek(0) == Some('-') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            return self.date(start);
        }
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.digits();
        }
        Kind::Number(self.chars[start..self.at].iter().collect())
    }

    fn date(&mut self, start: usize) -> Kind {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit() || c == '-') {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        // exactly YYYY-MM-DD: the parser below would also take signs and longer years
        let form = text.len() == 10 && text.bytes().enumerate().all(|(i, b)| matches!(i, 4 | 7) == (b == b'-'));
        match text.parse::<LocalDay>() {
            Ok(day) if form => Kind::Date(day),
            _ => {
                let message = format!("`{}` is no day of the calendar", crate::print::shortened(&text));
                self.problem(Code::OutOfRange, start, message, "YYYY-MM-DD, such as 2026-01-31")
            }
        }
    }

    /// The escape after a backslash; the position stands behind it.
    fn escape(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        match c {
            'n' => Some('\n'),
            't' => Some('\t'),
            '\\' | '"' | '\'' => Some(c),
            'u' => {
                let rest: String = self.chars[self.at..].iter().take(10).collect();
                let (hex, _) = rest.strip_prefix('{')?.split_once('}')?;
                let code = u32::from_str_radix(hex, 16).ok()?;
                self.at += hex.chars().count() + 2;
                char::from_u32(code)
            }
            _ => None,
        }
    }

    fn text(&mut self, close: char) -> Kind {
        let start = self.at;
        self.at += 1;
        let (mut out, mut bad) = (String::new(), None);
        loop {
            let Some(c) = self.peek(0) else {
                return self.problem(Code::Syntax, start, "the text has no closing quote".into(), "a closing quote");
            };
            let here = self.at;
            self.at += 1;
            match c {
                c if c == close => break,
                '\\' => match self.escape() {
                    Some(c) => out.push(c),
                    None => bad = Some(here),
                },
                c => out.push(c),
            }
        }
        if let Some(here) = bad {
            return self.problem(Code::Syntax, here, "unknown escape in a text".into(), r#"\" \\ \n \t or \u{…}"#);
        }
        if out.chars().count() > TEXT_MAX {
            let message = format!("a text of more than {TEXT_MAX} characters");
            return self.problem(Code::TooLong, start, message, "a shorter one");
        }
        Kind::Text(out)
    }
}
