//! Values of the text form: numbers with units, days, texts, words, and lists of them.

use super::{Fail, OPERATOR_WORDS, Parser};
use crate::{
    date::{Anchor, DateUnit, DateValue, Relative},
    lex::Kind,
    limits::VALUES_MAX,
    number::{Number, duration_unit, money_unit},
    problem::{Code, Problem},
    raw::{At, Lit},
    suggest::near_words,
};

impl Parser {
    /// `( value, … )`; may be empty.
    pub(super) fn values(&mut self) -> Result<Vec<At<Lit>>, Fail> {
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

    pub(super) fn value(&mut self) -> Result<At<Lit>, Fail> {
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
