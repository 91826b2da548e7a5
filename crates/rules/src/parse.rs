//! The text form, by recursive descent: `or` < `and` < `not` < clause. A broken clause is reported and skipped, so that
//! the problems of the others are reported too.

use crate::{
    date::{Anchor, DateUnit, DateValue, Relative},
    lex::{Kind, Token, lex},
    limits::{self, BYTES_MAX, CLAUSES_MAX, RAW_DEPTH_MAX, VALUES_MAX},
    number::{Number, duration_unit, money_unit},
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
    /// `( value, … )`; may be empty.
    fn values(&mut self) -> Result<Vec<At<Lit>>, Fail> {
        if self.kind() != &Kind::Open {
            return Err(self.unexpected("`(`, values between commas, `)`", &[]));
        }
        self.step();
        let mut all = Vec::new();
        if self.kind() == &Kind::Close {
            self.step();
            return Ok(all);
        }
        loop {
            match self.value() {
                Ok(value) => all.push(value),
                Err(fail) => {
                    self.close();
                    return Err(fail);
                }
            }
            match self.kind() {
                Kind::Comma => self.step(),
                Kind::Close => {
                    self.step();
                    break;
                }
                _ => {
                    let fail = self.unexpected("`,` or `)`", &[]);
                    self.close();
                    return Err(fail);
                }
            }
        }
        if all.len() > VALUES_MAX {
            let place = all[VALUES_MAX].place.clone();
            let message = format!("{} values between parentheses, at most {VALUES_MAX}", all.len());
            self.problems.push(Problem::new(Code::TooManyValues, place, message, "a list or an area for so many"));
            return Err(Fail);
        }
        Ok(all)
    }

    /// Moves behind the parenthesis that closes this level.
    fn close(&mut self) {
        let mut open = 0usize;
        while self.kind() != &Kind::End {
            match self.kind() {
                Kind::Open => open += 1,
                Kind::Close if open == 0 => return self.step(),
                Kind::Close => open -= 1,
                _ => {}
            }
            self.step();
        }
    }

    fn value(&mut self) -> Result<At<Lit>, Fail> {
        let from = self.at;
        let it = match self.kind().clone() {
            Kind::Text(t) => {
                self.step();
                Lit::Text(t)
            }
            Kind::Date(d) => {
                self.step();
                Lit::Date(DateValue::On(d))
            }
            Kind::Number(n) => self.quantity(n)?,
            Kind::Word(w) if !Self::is_word(self.kind(), &["and", "or", "not"]) => self.word_value(w)?,
            _ => return Err(self.unexpected("a value", &[])),
        };
        Ok(At { place: self.since(from), it })
    }
    fn word_value(&mut self, w: String) -> Result<Lit, Fail> {
        let lower = w.to_ascii_lowercase();
        if lower == "start" && Self::is_word(self.ahead(1), &["of"]) {
            return Ok(Lit::Date(DateValue::Relative(Relative { anchor: self.anchor()?, n: 0, unit: DateUnit::Day })));
        }
        self.step();
        let day = |n| Lit::Date(DateValue::Relative(Relative { anchor: Anchor::Today, n, unit: DateUnit::Day }));
        Ok(match lower.as_str() {
            "true" => Lit::Bool(true),
            "false" => Lit::Bool(false),
            "today" => day(0),
            "yesterday" => day(-1),
            "tomorrow" => day(1),
            _ => Lit::Word(w),
        })
    }
    /// `today` or `start of week | month | quarter | year`.
    fn anchor(&mut self) -> Result<Anchor, Fail> {
        if self.take_word("today") {
            return Ok(Anchor::Today);
        }
        if !self.take_word("start") || !self.take_word("of") {
            return Err(self.unexpected("`today` or `start of month` (week, quarter, year)", &["today", "start"]));
        }
        let anchor = match self.kind() {
            Kind::Word(w) => Anchor::start_of(w),
            _ => None,
        };
        let periods = ["week", "month", "quarter", "year"];
        let anchor = anchor.ok_or_else(|| self.unexpected("`week`, `month`, `quarter` or `year`", &periods))?;
        self.step();
        Ok(anchor)
    }
    /// A number, with its unit if it has one; with `ago` and the like it is a day.
    fn quantity(&mut self, number: String) -> Result<Lit, Fail> {
        let from = self.at;
        self.step();
        let Kind::Word(unit) = self.kind() else { return Ok(Lit::Number(number)) };
        let unit = unit.clone();
        if Self::is_word(self.kind(), &["and", "or", "not"]) || !self.is_unit(&unit) {
            return Ok(Lit::Number(number));
        }
        self.step();
        let relative = match self.kind() {
            k if Self::is_word(k, &["ago"]) => {
                self.step();
                Some((-1, Anchor::Today))
            }
            k if Self::is_word(k, &["from"]) => {
                self.step();
                if !self.take_word("now") {
                    return Err(self.unexpected("`now`", &["now"]));
                }
                Some((1, Anchor::Today))
            }
            k if Self::is_word(k, &["before"]) => {
                self.step();
                Some((-1, self.anchor()?))
            }
            k if Self::is_word(k, &["after"]) => {
                self.step();
                Some((1, self.anchor()?))
            }
            _ => None,
        };
        let Some((sign, anchor)) = relative else { return Ok(Lit::Quantity { number, unit }) };
        self.relative(from, &number, &unit, sign, anchor)
    }
    fn relative(&mut self, from: usize, number: &str, unit: &str, sign: i32, anchor: Anchor) -> Result<Lit, Fail> {
        let place = self.since(from);
        let Some(unit) = DateUnit::of(unit) else {
            let message = format!("a day cannot be given in `{unit}`");
            let near = near_words(unit, &["days", "weeks", "months", "years"]);
            let expected = "days, weeks, months or years";
            self.problems.push(Problem::new(Code::UnknownUnit, place, message, expected).suggest(near));
            return Err(Fail);
        };
        let n = Number::parse(number).and_then(|n| n.times(1)).and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= 0);
        match n.and_then(|n| Relative::new(anchor, sign * n, unit)) {
            Some(r) => Ok(Lit::Date(DateValue::Relative(r))),
            None => {
                let message = format!("{number} {}s is no distance between two days", unit.name());
                let expected = format!("a whole number up to {}", unit.max());
                self.problems.push(Problem::new(Code::OutOfRange, place, message, expected));
                Err(Fail)
            }
        }
    }
    /// Whether the word after a number belongs to it: any word but one that plainly begins the next clause.
    fn is_unit(&self, unit: &str) -> bool {
        let known = money_unit(unit).is_some() || duration_unit(unit).is_some() || DateUnit::of(unit).is_some();
        let operator = matches!(self.ahead(1), Kind::Symbol(_)) || Self::is_word(self.ahead(1), &OPERATOR_WORDS);
        let joint = self.misspelt_joint();
        known || (!operator && !joint)
    }
}

/// An operator and the end of its last word.
struct Found {
    it: Op,
    end: usize,
}
