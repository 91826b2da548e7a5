//! The text form, by recursive descent: `or` < `and` < `not` < clause. A broken clause is reported and skipped, so that
//! the problems of the others are reported too.

mod value;

use crate::{
    lex::{Kind, Token, lex},
    limits::{self, BYTES_MAX, CLAUSES_MAX, RAW_DEPTH_MAX},
    problem::{Code, Place, Problem},
    raw::{At, Lit, Op, RawLeaf, RawNode},
    suggest::near_words,
    tree::{Cmp, HasMode},
};

/// Reading cannot go on: a limit is broken. The problem is reported already.
struct Stop;
/// The clause cannot be read. The problem is reported already.
struct Fail;

pub(crate) fn parse(text: &str) -> (RawNode, Vec<Problem>) {
    let mut problems = Vec::new();
    if text.len() > BYTES_MAX {
        let place = Place::Chars { start: 0, end: 0 };
        let message = format!("the condition has more than {BYTES_MAX} bytes");
        problems.push(Problem::new(Code::TooLong, place, message, "a shorter one; many values belong in a list"));
        return (RawNode::Hole, problems);
    }
    let tokens = lex(text, &mut problems);
    let mut parser = Parser { tokens, at: 0, depth: 0, clauses: 0, broken: false, problems };
    let root = parser.whole().unwrap_or(RawNode::Hole);
    (root, parser.problems)
}

/// One value as a string of the JSON form carries it: `80 yuan`, `30 days ago`; `None` if it is not exactly one value.
pub(crate) fn literal(text: &str) -> Option<Lit> {
    if text.len() > 200 {
        return None;
    }
    let mut problems = Vec::new();
    let tokens = lex(text, &mut problems);
    let mut parser = Parser { tokens, at: 0, depth: 0, clauses: 0, broken: false, problems };
    let value = parser.value().ok()?;
    (parser.problems.is_empty() && parser.kind() == &Kind::End).then_some(value.it)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    clauses: usize,
    /// The last clause could not be read: what does not look like a clause after it is its rest.
    broken: bool,
    problems: Vec<Problem>,
}

const JOINTS: [&str; 2] = ["and", "or"];
const OPERATORS: [&str; 15] = [
    "in",
    "not in",
    "between",
    "is known",
    "is unknown",
    "has",
    "has any",
    "has all",
    "has none",
    "starts with",
    "contains",
    "before",
    "after",
    "on",
    "since",
];
/// First words of operators.
const OPERATOR_WORDS: [&str; 12] =
    ["in", "not", "between", "is", "has", "starts", "contains", "before", "after", "on", "since", "begins"];
const AN_OPERATOR: &str = "an operator: = != < <= > >=, in (…), between … and …, is known, is unknown, has, starts with, \
                           contains, before, after, in area";

impl Parser {
    fn kind(&self) -> &Kind {
        &self.tokens[self.at].kind
    }
    fn ahead(&self, n: usize) -> &Kind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + n).min(last)].kind
    }
    /// Moves on; the end stays.
    fn step(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }
    fn place(&self) -> Place {
        Place::Chars { start: self.tokens[self.at].start, end: self.tokens[self.at].end }
    }
    /// From the start of token `from` to the end of the token before this one.
    fn since(&self, from: usize) -> Place {
        let last = self.at.saturating_sub(1).max(from);
        Place::Chars { start: self.tokens[from].start, end: self.tokens[last].end }
    }
    fn is_word(kind: &Kind, words: &[&str]) -> bool {
        matches!(kind, Kind::Word(w) if words.iter().any(|x| w.eq_ignore_ascii_case(x)))
    }
    fn at_word(&self, word: &str) -> bool {
        Self::is_word(self.kind(), &[word])
    }
    fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.step();
        }
        found
    }
    fn shown(&self) -> String {
        match self.kind() {
            Kind::End => "the end".to_owned(),
            _ => {
                let t = match self.kind() {
                    Kind::Word(w) | Kind::Number(w) => w.clone(),
                    Kind::Text(t) => crate::print::quoted(t),
                    Kind::Date(d) => d.to_string(),
                    Kind::Open => "(".into(),
                    Kind::Close => ")".into(),
                    Kind::Comma => ",".into(),
                    Kind::Symbol(s) => (*s).to_owned(),
                    Kind::Bad | Kind::End => "?".into(),
                };
                format!("`{}`", crate::print::shortened(&t))
            }
        }
    }
    /// Reports "found X; expected Y" here, unless the lexer reported this token already.
    fn unexpected(&mut self, expected: &str, candidates: &[&str]) -> Fail {
        if self.kind() != &Kind::Bad {
            let mut near = match self.kind() {
                Kind::Word(w) => near_words(w, candidates),
                _ => Vec::new(),
            };
            near.retain(|n| !matches!(self.kind(), Kind::Word(w) if w == n));
            let message = format!("found {}", self.shown());
            self.problems.push(Problem::new(Code::Syntax, self.place(), message, expected).suggest(near));
        }
        Fail
    }

    fn whole(&mut self) -> Result<RawNode, Stop> {
        if self.kind() == &Kind::End {
            let (place, expected) = (self.place(), "a clause such as `arpu >= 80 yuan`, or `everyone`");
            self.problems.push(Problem::new(Code::Syntax, place, "the condition is empty", expected));
            return Ok(RawNode::Hole);
        }
        let mut root = self.or()?;
        while self.kind() != &Kind::End {
            // only a `)` too many, or what a broken clause left, comes here
            self.unexpected("`and`, `or` or the end", &JOINTS);
            self.step();
            self.skip();
            self.take_joint();
            if self.kind() != &Kind::End {
                root = RawNode::And(vec![root, self.or()?]);
            }
        }
        Ok(root)
    }
    fn take_joint(&mut self) -> bool {
        self.take_word("and") || self.take_word("or")
    }
    fn or(&mut self) -> Result<RawNode, Stop> {
        let mut all = vec![self.and()?];
        while self.take_word("or") {
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { RawNode::Or(all) })
    }
    fn and(&mut self) -> Result<RawNode, Stop> {
        let mut all = vec![self.factor()?];
        loop {
            if self.take_word("and") {
                all.push(self.factor()?);
            } else if self.misspelt_joint() {
                self.unexpected("`and` or `or`", &JOINTS);
                self.step();
                all.push(self.factor()?);
            } else if matches!(self.kind(), Kind::Word(_) | Kind::Text(_) | Kind::Open) && !self.at_word("or") {
                self.unexpected("`and` or `or` before it", &[]);
                if matches!(self.kind(), Kind::Text(_)) {
                    self.skip();
                } else {
                    all.push(self.factor()?);
                }
            } else {
                break;
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { RawNode::And(all) })
    }
    /// `adn`, `ro`, or the reported `&&` between two clauses.
    fn misspelt_joint(&self) -> bool {
        let starts_clause = matches!(self.ahead(1), Kind::Word(_) | Kind::Open);
        match self.kind() {
            Kind::Bad => starts_clause,
            k if Self::is_word(k, &JOINTS) => false,
            Kind::Word(w) => {
                let not = Self::is_word(self.ahead(1), &["not"]);
                let operator = Self::is_word(self.ahead(if not { 2 } else { 1 }), &OPERATOR_WORDS);
                starts_clause && !operator && w.len() <= 4 && !near_words(w, &JOINTS).is_empty()
            }
            _ => false,
        }
    }
    /// Moves to the next `and`, `or`, closing parenthesis of this level, or the end.
    fn skip(&mut self) {
        let mut open = 0usize;
        loop {
            match self.kind() {
                Kind::End => return,
                Kind::Close if open == 0 => return,
                Kind::Close => open -= 1,
                Kind::Open => open += 1,
                k if open == 0 && Self::is_word(k, &JOINTS) => return,
                _ => {}
            }
            self.step();
        }
    }
    fn deeper(&mut self) -> Result<(), Stop> {
        self.depth += 1;
        if self.depth > RAW_DEPTH_MAX {
            self.problems.push(limits::too_deep(self.place()));
            return Err(Stop);
        }
        Ok(())
    }
    fn factor(&mut self) -> Result<RawNode, Stop> {
        if self.at_word("not") {
            self.deeper()?;
            self.step();
            let inner = self.factor()?;
            self.depth -= 1;
            return Ok(RawNode::Not(Box::new(inner)));
        }
        if self.kind() == &Kind::Open {
            self.deeper()?;
            let open = self.place();
            self.step();
            let inner = self.or()?;
            self.depth -= 1;
            if self.kind() == &Kind::Close {
                self.step();
            } else if self.kind() == &Kind::End {
                let message = "this parenthesis is never closed";
                self.problems.push(Problem::new(Code::Syntax, open, message, "`)`"));
            } else {
                self.unexpected("`and`, `or` or `)`", &JOINTS);
                self.skip();
                if self.kind() == &Kind::Close {
                    self.step();
                }
            }
            return Ok(inner);
        }
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX {
            self.problems.push(limits::too_many_clauses(self.place()));
            return Err(Stop);
        }
        for (word, node) in [("everyone", RawNode::Everyone), ("nobody", RawNode::Nobody)] {
            if self.take_word(word) {
                return Ok(node);
            }
        }
        match self.clause() {
            Ok(leaf) => {
                self.broken = false;
                Ok(RawNode::Leaf(leaf))
            }
            Err(Fail) => {
                self.broken = true;
                self.skip();
                Ok(RawNode::Hole)
            }
        }
    }

    fn clause(&mut self) -> Result<RawLeaf, Fail> {
        let place = self.place();
        let subject = match self.kind() {
            Kind::Word(w) if !Self::is_word(self.kind(), &["and", "or", "true", "false"]) => w.clone(),
            Kind::Number(_) | Kind::Date(_) | Kind::Text(_) if self.broken => return Err(Fail),
            _ => return Err(self.unexpected("a clause: a tag, `subscriber in list …`, `not` or `(`", &[])),
        };
        self.step();
        let from = self.at;
        let (op, args) = self.test()?;
        // a missing operator stands where it was looked for
        let place_of_op = match op.it {
            Op::Truth => place.clone(),
            _ => Place::Chars { start: self.tokens[from].start, end: op.end },
        };
        Ok(RawLeaf { subject: At { place, it: subject }, op: At { place: place_of_op, it: op.it }, args })
    }
    /// The operator with the end of its last word, and its values.
    fn test(&mut self) -> Result<(Found, Vec<At<Lit>>), Fail> {
        if let Kind::Symbol(s) = *self.kind() {
            let cmp = Cmp::ALL.into_iter().find(|c| c.symbol() == s).unwrap_or(Cmp::Eq);
            let op = self.found(Op::Compare(cmp));
            return Ok((op, vec![self.value()?]));
        }
        let Kind::Word(w) = self.kind() else {
            return if matches!(self.kind(), Kind::Close | Kind::End) {
                Ok((Found { it: Op::Truth, end: 0 }, Vec::new()))
            } else {
                Err(self.unexpected(AN_OPERATOR, &OPERATORS))
            };
        };
        let word = w.to_ascii_lowercase();
        match word.as_str() {
            "and" | "or" => Ok((Found { it: Op::Truth, end: 0 }, Vec::new())),
            "before" | "after" | "on" | "since" => {
                let cmp = match word.as_str() {
                    "before" => Cmp::Lt,
                    "after" => Cmp::Gt,
                    "since" => Cmp::Ge,
                    _ => Cmp::Eq,
                };
                let op = self.found(Op::Day(cmp));
                Ok((op, vec![self.value()?]))
            }
            "is" => {
                self.step();
                let op = match self.kind() {
                    k if Self::is_word(k, &["known"]) => Op::Known,
                    k if Self::is_word(k, &["unknown"]) => Op::Unknown,
                    _ => {
                        return Err(
                            self.unexpected("`known` or `unknown`; a value is compared by `=`", &["known", "unknown"])
                        );
                    }
                };
                Ok((self.found(op), Vec::new()))
            }
            "not" => {
                self.step();
                self.negatable(true)
            }
            // an unknown word before what begins a clause is a joint misspelt, not an operator
            _ if self.misspelt_joint() => Ok((Found { it: Op::Truth, end: 0 }, Vec::new())),
            _ => self.negatable(false),
        }
    }
    /// Takes the last word of an operator.
    fn found(&mut self, it: Op) -> Found {
        let end = self.tokens[self.at].end;
        self.step();
        Found { it, end }
    }
    fn negatable(&mut self, negated: bool) -> Result<(Found, Vec<At<Lit>>), Fail> {
        let Kind::Word(w) = self.kind() else { return Err(self.unexpected(AN_OPERATOR, &OPERATORS)) };
        match w.to_ascii_lowercase().as_str() {
            "in" => self.in_(negated),
            "between" => {
                let op = self.found(Op::Between { negated });
                let low = self.value()?;
                if !self.take_word("and") {
                    return Err(self.unexpected("`and` and the upper end of `between`", &["and"]));
                }
                Ok((op, vec![low, self.value()?]))
            }
            "starts" | "begins" => {
                self.step();
                if !self.at_word("with") {
                    return Err(self.unexpected("`with`", &["with"]));
                }
                let op = self.found(Op::StartsWith { negated });
                Ok((op, vec![self.value()?]))
            }
            "contains" => {
                let op = self.found(Op::Contains { negated });
                Ok((op, vec![self.value()?]))
            }
            "has" => self.has(negated),
            _ => Err(self.unexpected(AN_OPERATOR, &OPERATORS)),
        }
    }
    fn in_(&mut self, negated: bool) -> Result<(Found, Vec<At<Lit>>), Fail> {
        let named = matches!(self.ahead(2), Kind::Word(_) | Kind::Text(_));
        let named = named && Self::is_word(self.ahead(1), &["area", "list"]);
        if !named {
            let op = self.found(Op::In { negated });
            return Ok((op, self.values()?));
        }
        self.step();
        let op = if self.at_word("area") { Op::InArea { negated } } else { Op::InList { negated } };
        let op = self.found(op);
        let place = self.place();
        let it = match self.kind() {
            Kind::Word(w) => Lit::Word(w.clone()),
            Kind::Text(t) => Lit::Text(t.clone()),
            _ => return Err(self.unexpected("a name", &[])),
        };
        self.step();
        Ok((op, vec![At { place, it }]))
    }
    fn has(&mut self, negated: bool) -> Result<(Found, Vec<At<Lit>>), Fail> {
        let opens = self.ahead(2) == &Kind::Open;
        let (mode, none) = match self.ahead(1) {
            k if opens && Self::is_word(k, &["any"]) => (HasMode::Any, false),
            k if opens && Self::is_word(k, &["all"]) => (HasMode::All, false),
            k if opens && Self::is_word(k, &["none"]) => (HasMode::Any, true),
            Kind::Open => {
                self.step();
                return Err(self.unexpected("`any`, `all` or `none` before the values", &[]));
            }
            _ => {
                let op = self.found(Op::Has { mode: HasMode::Any, negated });
                return Ok((op, vec![self.value()?]));
            }
        };
        self.step();
        let op = self.found(Op::Has { mode, negated: negated != none });
        Ok((op, self.values()?))
    }
}

/// An operator and the end of its last word.
struct Found {
    it: Op,
    end: usize,
}
