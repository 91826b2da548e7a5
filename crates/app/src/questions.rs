//! Questions about sets of subscribers: overlap, sample, what sets a list apart, who looks like a service's users.

use crate::{
    app::App,
    error::{AppError, Result},
};
use kairos_lake::{
    SnapshotIndex,
    questions::{Alike, AskError, Contrast, Crossing, Feature, Finding, Gains, Learning, Members, Overlap, TagValue},
};
use kairos_model::{Money, SnapshotId, SubscriberId, Timestamp};
use kairos_rules::{Catalogue, Condition, Lang, TagType};
use std::{sync::Arc, thread};

/// Features of a look-alike model: more than a person reads.
const FEATURES: usize = 40;
/// A value is reported as setting a list apart up to this false-discovery rate.
const BELIEVED: f64 = 0.05;

/// A snapshot's index, and the time that it describes.
pub struct Asked {
    index: Arc<SnapshotIndex>,
    pub snapshot: SnapshotId,
    pub as_of: Timestamp,
}

/// Sets by the subscribers that they share.
pub struct OverlapAnswer {
    pub sizes: Vec<u64>,
    pub overlap: Overlap,
    pub asked: Asked,
}

/// What sets a list apart from a base.
pub struct Apart {
    /// How many of the list are in the base, and how large the base is.
    pub set: u64,
    pub base: u64,
    /// The most telling first; only those below a false-discovery rate of 5 %.
    pub findings: Vec<Finding>,
    pub asked: Asked,
}

/// A model of a service's users, and those who look most like them.
pub struct LookAlike {
    pub users: u64,
    pub base: u64,
    pub features: Vec<Feature>,
    pub gains: Gains,
    /// With the chance that the model gives each.
    pub best: Vec<(SubscriberId, f64)>,
    pub asked: Asked,
}

impl App {
    fn asked(&self, at: Timestamp) -> Result<Asked> {
        let (snapshot, as_of) = self.snapshot_at(at)?;
        let index = self.lake.index(snapshot).map_err(|e| AppError::unavailable("index", e.to_string()).because(e))?;
        Ok(Asked { index, snapshot, as_of })
    }

    /// The members of a condition, or of everybody where it is `None`.
    fn set(&self, asked: &Asked, text: Option<&str>) -> Result<Members> {
        let condition = text.map_or_else(|| Ok(Condition::everyone()), |t| self.condition(t))?;
        let tags = self.tags();
        self.lake.members(asked.snapshot, &condition, tags.sets()).map_err(|e| crate::audience::refused(&condition, e))
    }

    /// How many are in which of up to ten sets.
    pub fn overlap(&self, texts: &[String], at: Timestamp) -> Result<OverlapAnswer> {
        let asked = self.asked(at)?;
        let sets = texts.iter().map(|t| self.set(&asked, Some(t))).collect::<Result<Vec<_>>>()?;
        let overlap = Overlap::of(&sets.iter().collect::<Vec<_>>()).map_err(ask_error)?;
        Ok(OverlapAnswer { sizes: sets.iter().map(Members::len).collect(), overlap, asked })
    }

    /// Every pair of up to 200 sets, such as the users of services (重合度).
    pub fn crossing(&self, texts: &[String], at: Timestamp) -> Result<(Crossing, Asked)> {
        let asked = self.asked(at)?;
        let sets = texts.iter().map(|t| self.set(&asked, Some(t))).collect::<Result<Vec<_>>>()?;
        let everyone = self.set(&asked, None)?.len();
        let crossing = Crossing::of(&sets.iter().collect::<Vec<_>>(), everyone).map_err(ask_error)?;
        Ok((crossing, asked))
    }

    /// `n` members, the same for the same seed.
    pub fn sample(&self, text: &str, n: usize, seed: u64, at: Timestamp) -> Result<(u64, Vec<SubscriberId>, Asked)> {
        let asked = self.asked(at)?;
        let members = self.set(&asked, Some(text))?;
        Ok((members.len(), members.sample(n, seed), asked))
    }

    /// Reverse query (反向查询): tags and values that set those of `set` apart from `base`.
    pub fn apart(&self, set: &str, base: Option<&str>, at: Timestamp) -> Result<Apart> {
        let asked = self.asked(at)?;
        let (set, base) = (self.set(&asked, Some(set))?, self.set(&asked, base)?);
        let contrast = Contrast::new(asked.index.view(), &set, &base).map_err(ask_error)?;
        let (in_set, of) = contrast.sizes();
        // two halves of the columns at once
        let half = contrast.columns() / 2;
        let (left, right) = thread::scope(|s| {
            let left = s.spawn(|| contrast.tally(0..half));
            let right = contrast.tally(half..contrast.columns());
            (left.join(), right)
        });
        let left = left.map_err(|_| AppError::failure("internal", "counting tags ended in a panic"))?;
        let mut tallies = left.map_err(ask_error)?;
        tallies.extend(right.map_err(ask_error)?);
        let mut findings = contrast.rank(tallies).map_err(ask_error)?;
        findings.retain(|f| f.q < BELIEVED);
        Ok(Apart { set: in_set, base: of, findings, asked })
    }

    /// Look-alike (潜在客户识别): what sets `users` apart within `base`, and the `n` of `among` who look most like them.
    /// Tags that `users` names say who is one: they are left out, with those of `leave_out`.
    pub fn look_alike(
        &self,
        users: &str,
        base: Option<&str>,
        among: Option<&str>,
        leave_out: &[String],
        (n, seed): (usize, u64),
        at: Timestamp,
    ) -> Result<LookAlike> {
        let asked = self.asked(at)?;
        let condition = self.condition(users)?;
        let mut out: Vec<&str> = condition.tags().iter().map(|t| t.id.as_str()).collect();
        for tag in leave_out {
            if self.tags().def(tag).is_none() {
                return Err(self.unknown_tag(tag));
            }
            out.push(tag);
        }
        let (users, base) = (self.set(&asked, Some(users))?, self.set(&asked, base)?);
        let among = match among {
            Some(text) => self.set(&asked, Some(text))?,
            None => base.clone(),
        };
        let how = Learning { seed, features_max: FEATURES, leave_out: &out };
        let model = Alike::learn(asked.index.view(), &users, &base, &how).map_err(ask_error)?;
        let best = model.best(&among, n, seed).map_err(ask_error)?;
        let (features, gains) = (model.features.clone(), model.gains.clone());
        drop(model);
        Ok(LookAlike { users: users.len(), base: base.len(), features, gains, best, asked })
    }

    /// A tag's value as a person reads it.
    pub fn shown_value(&self, tag: &str, value: &TagValue, lang: Lang) -> String {
        let tags = self.tags();
        let info = tags.tag(tag);
        let label = |word: &str| {
            let found = info.and_then(|i| i.labels.iter().find(|l| l.value == word));
            found.map_or_else(|| word.to_owned(), |l| if lang == Lang::Zh { l.zh.clone() } else { l.en.clone() })
        };
        let number = |n: i64| match info.map(|i| &i.ty) {
            Some(TagType::Money(currency)) => Money::micros(n, *currency).to_string(),
            Some(TagType::Decimal) => Money::micros(n, self.currency).amount(),
            Some(TagType::Date) => {
                i32::try_from(n).map_or_else(|_| n.to_string(), |d| kairos_model::LocalDay(d).to_string())
            }
            _ => n.to_string(),
        };
        match value {
            TagValue::Bool(b) => label(if *b { "true" } else { "false" }),
            TagValue::Word(w) => label(w),
            TagValue::Cell(c) => c.0.to_string(),
            TagValue::Unknown => if lang == Lang::Zh { "未知" } else { "unknown" }.to_owned(),
            TagValue::Bin(from, to) => match (from, to) {
                (Some(a), Some(b)) => format!("{} … {}", number(*a), number(*b)),
                (None, Some(b)) => format!("< {}", number(*b)),
                (Some(a), None) => format!("≥ {}", number(*a)),
                (None, None) => "any".to_owned(),
            },
        }
    }
}

fn ask_error(e: AskError) -> AppError {
    AppError::invalid("question", e.to_string()).because(e)
}
