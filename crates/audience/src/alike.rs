//! Look-alike (潜在客户识别): what sets the users of a service apart, and who looks like them.
//!
//! The tags' values that set the users of a training part apart (see [`Contrast`]) become features of a logistic
//! regression; a hold-out part, never seen by either, says how good it is.

use crate::{
    contrast::{Contrast, Slot, TagValue},
    error::AskError,
    form::{BITS, WORDS, Words},
    index::View,
    logistic::{FEATURES_MAX, Rows, chance, fit, score},
    members::Members,
    program::Machine,
    query::Query,
};
use kairos_model::{SubscriberId, hash};
use std::collections::BinaryHeap;

/// Users and others needed to learn from, each: with fewer no decile of the hold-out says anything.
pub const LEARN_MIN: u64 = 200;
/// Users and others learnt from at most, each: more changes no weight that anybody would see.
const LEARN_MAX: usize = 50_000;
/// Share of the base held out, in parts per million, and subscribers held out at most.
const HOLD_PPM: u64 = 300_000;
const HOLD_MAX: u64 = 1_000_000;
/// Values of one tag at most: ten bins of a number.
const PER_TAG_MAX: usize = 10;
/// A value is a feature if its false-discovery rate is below.
const BELIEVED: f64 = 0.01;
/// Penalty of a weight: as if one more subscriber stood against it.
const RIDGE: f64 = 1.0;
/// Subscribers that [`Alike::best`] ranks at most: the memory of their scores.
pub const BEST_MAX: usize = 10_000_000;

const SPLIT: u64 = 0x414c_494b_4553_504c;
const TIE: u64 = 0x414c_494b_4554_4945;

/// How to learn.
#[derive(Clone, Copy, Debug)]
pub struct Learning<'s> {
    /// Decides who is held out and who is learnt from.
    pub seed: u64,
    /// At most 64.
    pub features_max: usize,
    /// Tags that say who is a user: they would explain the service by itself.
    pub leave_out: &'s [&'s str],
}

/// A value of a tag in the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    pub tag: String,
    pub value: TagValue,
    /// What having it adds to the logarithm of the odds, all else equal.
    pub weight: f64,
    /// Share among users ÷ share in the base, in the training part.
    pub lift: f64,
}

/// A tenth of the hold-out, the highest scores first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decile {
    pub of: u64,
    pub users: u64,
    /// Users that the scores promised: near `users` where the model is calibrated.
    pub expected: f64,
    /// Share of users here ÷ share in the whole hold-out.
    pub lift: f64,
    /// Share of all users in this and the deciles before.
    pub captured: f64,
}

/// How good the model is for those whom it has not seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Gains {
    pub of: u64,
    pub users: u64,
    /// Ten.
    pub deciles: Vec<Decile>,
    /// Chance that a user scores above one who is not (ties half).
    pub auc: f64,
}

/// A learnt model over one index.
pub struct Alike<'a> {
    view: View<'a>,
    users: Members,
    queries: Vec<Query<'a>>,
    weights: Vec<f64>,
    pub features: Vec<Feature>,
    /// The logarithm of the odds of one without any feature.
    pub intercept: f64,
    pub gains: Gains,
}

impl<'a> Alike<'a> {
    /// Learns what sets `users` apart within `base`. The same index, sets and seed give the same model.
    ///
    /// Errors: fewer than [`LEARN_MIN`] users or others to learn from or in the hold-out, no value that sets them apart.
    pub fn learn(view: View<'a>, users: &Members, base: &Members, how: &Learning<'_>) -> Result<Self, AskError> {
        let parts = Parts::of(users, base, how.seed);
        parts.enough()?;
        let learn = Contrast::new(view, &parts.users, &parts.base)?;
        let mut per_tag = std::collections::BTreeMap::<String, usize>::new();
        let mut slots: Vec<(usize, Slot)> = Vec::new();
        let mut features = Vec::new();
        for f in learn.findings()?.into_iter().filter(|f| f.q < BELIEVED) {
            let n = per_tag.entry(f.tag.clone()).or_default();
            if features.len() >= how.features_max.min(FEATURES_MAX) {
                break;
            }
            if *n < PER_TAG_MAX && !how.leave_out.contains(&f.tag.as_str()) {
                *n += 1;
                slots.push((f.column, f.slot));
                features.push(Feature { tag: f.tag, value: f.value, weight: 0.0, lift: f.lift });
            }
        }
        if features.is_empty() {
            let what = "no tag sets these users apart from the base; a score would be a guess".into();
            return Err(AskError::Limit { what });
        }
        let queries: Vec<Query<'a>> = slots.iter().map(|(c, s)| view.of_slot(*c, *s)).collect();
        let mut made = Self {
            view,
            users: parts.all_users.clone(),
            queries,
            weights: Vec::new(),
            features,
            intercept: 0.0,
            gains: Gains { of: 0, users: 0, deciles: Vec::new(), auc: 0.5 },
        };
        made.fit(&parts, how.seed)?;
        made.gains = made.hold_out(&parts, how.seed)?;
        Ok(made)
    }

    fn fit(&mut self, parts: &Parts, seed: u64) -> Result<(), AskError> {
        let (users, others) = (parts.users.sample(LEARN_MAX, seed), parts.others.sample(LEARN_MAX, seed));
        let drawn = (users.len() as f64, others.len() as f64);
        let of = |s: Vec<SubscriberId>| s.into_iter().collect::<Members>();
        let mut rows: Vec<(u64, bool)> = Vec::new();
        for (set, is_user) in [(of(users), true), (of(others), false)] {
            self.masks(&set, |_, mask| rows.push((mask, is_user)))?;
        }
        rows.sort_unstable();
        let equal = rows.chunk_by(|a, b| a.0 == b.0).map(|all| {
            let users = all.iter().filter(|r| r.1).count() as f64;
            Rows { mask: all[0].0, all: all.len() as f64, users }
        });
        self.weights = fit(&equal.collect::<Vec<_>>(), self.features.len(), RIDGE);
        self.features.iter_mut().zip(&self.weights).for_each(|(f, w)| f.weight = *w);
        // users and others were drawn at different rates: the odds of the sample become those of the base
        let shift = (parts.users.len() as f64 / drawn.0).ln() - (parts.others.len() as f64 / drawn.1).ln();
        if let Some(last) = self.weights.last_mut() {
            *last += shift;
            self.intercept = *last;
        }
        Ok(())
    }

    /// Visits the members of a set with the bits of their features.
    fn masks(&self, set: &Members, mut visit: impl FnMut(u32, u64)) -> Result<(), AskError> {
        let mut machine = Machine::default();
        let mut features = vec![[0u64; WORDS]; self.queries.len()];
        let mut masks = vec![0u64; BITS];
        for b in 0..set.blocks().min(self.view.blocks()) {
            let members = crate::column::spread(set.form(b));
            if members.iter().all(|w| *w == 0) {
                continue;
            }
            for (q, words) in self.queries.iter().zip(&mut features) {
                q.block(&mut machine, b, words)?;
            }
            spell(&features, &mut masks);
            crate::form::each(&members, |i| visit((b * BITS) as u32 + u32::from(i), masks[usize::from(i)]));
        }
        Ok(())
    }

    /// (score, tie, ordinal, user) of the hold-out, and what they come to.
    fn hold_out(&self, parts: &Parts, seed: u64) -> Result<Gains, AskError> {
        let mut all: Vec<(f64, u64, bool)> = Vec::new();
        self.masks(&parts.held, |o, mask| {
            let tie = hash::salted2(TIE, seed, u64::from(o));
            all.push((score(&self.weights, mask), tie, self.users.contains(SubscriberId(o))));
        })?;
        all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let (of, users) = (all.len(), all.iter().filter(|r| r.2).count() as u64);
        let base = users as f64 / of as f64;
        let (mut deciles, mut before) = (Vec::new(), 0u64);
        for k in 0..10 {
            let part = &all[of * k / 10..of * (k + 1) / 10];
            let here = part.iter().filter(|r| r.2).count() as u64;
            before += here;
            deciles.push(Decile {
                of: part.len() as u64,
                users: here,
                expected: part.iter().map(|r| chance(r.0)).sum(),
                lift: here as f64 / part.len() as f64 / base,
                captured: before as f64 / users as f64,
            });
        }
        Ok(Gains { of: of as u64, users, deciles, auc: auc(&all) })
    }

    /// The `n` of `among` (say, the active) who are no users and most look like them, with the chance that the model
    /// gives them; equal chances in the order of a salted hash.
    ///
    /// Errors: more than [`BEST_MAX`] asked for.
    pub fn best(&self, among: &Members, n: usize, seed: u64) -> Result<Vec<(SubscriberId, f64)>, AskError> {
        if n > BEST_MAX {
            return Err(AskError::Limit { what: format!("{n} subscribers are asked for; at most {BEST_MAX}") });
        }
        // ascending bits of the key of a score, so that it can be compared as a number; the heap's top is the worst
        let key = |s: f64| {
            let bits = s.to_bits();
            if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
        };
        let mut kept: BinaryHeap<(std::cmp::Reverse<u64>, u64, u32)> = BinaryHeap::new();
        let mut chances = kairos_model::hash::FixedMap::<u64, f64>::default();
        self.masks(among, |o, mask| {
            if self.users.contains(SubscriberId(o)) || n == 0 {
                return;
            }
            let s = score(&self.weights, mask);
            let entry = (std::cmp::Reverse(key(s)), hash::salted2(TIE, seed, u64::from(o)), o);
            if kept.len() < n {
                kept.push(entry);
            } else if kept.peek().is_some_and(|worst| entry < *worst) {
                kept.pop();
                kept.push(entry);
            } else {
                return;
            }
            chances.entry(key(s)).or_insert_with(|| chance(s));
        })?;
        let best = kept.into_sorted_vec();
        Ok(best.into_iter().map(|(k, _, o)| (SubscriberId(o), chances.get(&k.0).copied().unwrap_or(0.0))).collect())
    }
}

/// The bits of up to 64 bitmaps, by rows.
fn spell(features: &[Words], masks: &mut [u64]) {
    let mut rows = [0u64; 64];
    for w in 0..WORDS {
        rows.fill(0);
        rows.iter_mut().zip(features).for_each(|(r, f)| *r = f[w]);
        crate::build::number::transpose(&mut rows);
        masks[64 * w..64 * (w + 1)].copy_from_slice(&rows);
    }
}

/// The rank-sum form of the area under the curve, of rows by falling score.
fn auc(all: &[(f64, u64, bool)]) -> f64 {
    let users = all.iter().filter(|r| r.2).count() as f64;
    let others = all.len() as f64 - users;
    let (mut above, mut sum) = (0.0, 0.0);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let here = tied.iter().filter(|r| r.2).count() as f64;
        sum += (tied.len() as f64 - here) * (above + here / 2.0);
        above += here;
    }
    sum / (users * others)
}

/// Who is learnt from and who is held out.
struct Parts {
    all_users: Members,
    users: Members,
    others: Members,
    base: Members,
    held: Members,
    held_users: u64,
}

impl Parts {
    fn of(users: &Members, base: &Members, seed: u64) -> Self {
        let ppm = (HOLD_MAX * 1_000_000 / base.len().max(1)).min(HOLD_PPM) as u32;
        let is_held = |o: u32| hash::below_ppm(hash::salted2(SPLIT, seed, u64::from(o)), ppm);
        let all = base.to_vec();
        let pick = |keep: &dyn Fn(u32) -> bool| Members::from_ascending(all.iter().copied().filter(|o| keep(*o)));
        let is_user = |o: u32| users.contains(SubscriberId(o));
        Self {
            all_users: users.clone(),
            users: pick(&|o| !is_held(o) && is_user(o)),
            others: pick(&|o| !is_held(o) && !is_user(o)),
            base: pick(&|o| !is_held(o)),
            held: pick(&is_held),
            held_users: pick(&|o| is_held(o) && is_user(o)).len(),
        }
    }
    fn enough(&self) -> Result<(), AskError> {
        let least = self.users.len().min(self.others.len());
        let held = self.held_users.min(self.held.len() - self.held_users);
        if least < LEARN_MIN || held < LEARN_MIN / 2 {
            let what = format!(
                "{} users and {} others to learn from, {} and {} held out; at least {LEARN_MIN} and {} of each",
                self.users.len(),
                self.others.len(),
                self.held_users,
                self.held.len() - self.held_users,
                LEARN_MIN / 2
            );
            return Err(AskError::Limit { what });
        }
        Ok(())
    }
}
