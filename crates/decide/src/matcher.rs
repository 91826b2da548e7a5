//! Event conditions as masks: which campaigns an event of a type in a cell may concern, a bit each.

use crate::{
    matrix::{Layout, Matrix},
    playbook::Campaign,
    trigger::Then,
};
use kairos_model::{CampaignId, CellId, Event, EventType, PartyId, SubscriberId, hash::FixedMap};
use std::sync::Arc;

const NONE: u16 = u16::MAX;
/// Event types below it are found in a table, the others in a map.
const DIRECT: usize = 512;
/// Cells below it are found in a table. A register of more, or with gaps, still works.
const CELLS_DIRECT: usize = 1 << 22;

/// A word of a row, as events of one type read it.
#[derive(Clone, Debug)]
struct Word {
    at: usize,
    /// Bits that ask for no own bit.
    free: u64,
    /// Bits that ask for the peer, and the word of a party's row.
    peered: u64,
    peer_at: usize,
}

/// What events of one type may do.
#[derive(Clone, Debug, Default)]
struct Kind {
    words: Vec<Word>,
    /// By class of cells, `words.len()` each.
    masks: Vec<u64>,
    /// Campaigns that count events of this type, by place in the book.
    feeds: Vec<u32>,
}

/// Cells that lie in the same areas are one class. Class 0: in none.
#[derive(Clone, Debug, Default)]
struct Classes {
    direct: Vec<u32>,
    far: FixedMap<u32, u32>,
}

impl Classes {
    #[inline]
    fn of(&self, cell: CellId) -> usize {
        match self.direct.get(cell.0 as usize) {
            Some(&c) => c as usize,
            None if self.far.is_empty() => 0,
            None => self.far.get(&cell.0).map_or(0, |&c| c as usize),
        }
    }
}

/// The compiled triggers of a playbook for one matrix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher {
    matrix: Arc<Matrix>,
    direct: Vec<u16>,
    far: FixedMap<u16, u16>,
    kinds: Vec<Kind>,
    classes: Classes,
    /// By minute of the day, one word for each of `slots`' words: whose window is open. Empty: nobody has a window.
    windows: Vec<u64>,
    words: usize,
    /// Bit → place of the campaign in the book.
    slots: Vec<u32>,
    /// Place in the book → bit, `u32::MAX` where it has none.
    bit_of: Vec<u32>,
    /// Campaigns that need a bit and have none in the matrix.
    unmatched: Vec<CampaignId>,
}

impl Matcher {
    /// Without a matrix only campaigns that ask for no bit match.
    pub fn compile(campaigns: &[Campaign], matrix: Option<&Arc<Matrix>>) -> Self {
        let matrix = matrix.cloned().unwrap_or_default();
        let mut m = Self { bit_of: vec![u32::MAX; campaigns.len()], ..Self::default() };
        m.place(campaigns, matrix.layout());
        m.matrix = matrix;
        m.words = m.slots.len() / 64;
        m.classify(campaigns);
        m.open_windows(campaigns);
        m
    }

    /// Gives each campaign its bit: the matrix's, or one behind them if it asks for none.
    fn place(&mut self, campaigns: &[Campaign], layout: &Layout) {
        self.slots = vec![u32::MAX; layout.slots().len()];
        let known: FixedMap<CampaignId, usize> =
            layout.slots().iter().enumerate().filter_map(|(i, s)| Some((s.as_ref()?.campaign, i))).collect();
        let mut rest = Vec::new();
        for (i, c) in campaigns.iter().enumerate() {
            let Some(t) = &c.trigger else { continue };
            let slot = known.get(&c.id).and_then(|&at| Some((at, layout.slots()[at]?)));
            match slot {
                Some((at, s)) if s.version == c.version && s.own == t.own && s.peer == t.peer => {
                    self.slots[at] = i as u32;
                    self.bit_of[i] = at as u32;
                }
                _ if t.own || t.peer => self.unmatched.push(c.id),
                _ => rest.push(i as u32),
            }
        }
        rest.sort_by_key(|&i| campaigns[i as usize].trigger.as_ref().map(|t| t.on.kind));
        for i in rest {
            self.bit_of[i as usize] = self.slots.len() as u32;
            self.slots.push(i);
        }
        self.slots.resize(self.slots.len().next_multiple_of(64), u32::MAX);
    }

    fn kind_mut(&mut self, kind: EventType) -> &mut Kind {
        let at = match self.kind_at(kind) {
            NONE => {
                let at = self.kinds.len() as u16;
                self.kinds.push(Kind::default());
                if usize::from(kind.0) < DIRECT {
                    self.direct.resize(DIRECT, NONE);
                    self.direct[usize::from(kind.0)] = at;
                } else {
                    self.far.insert(kind.0, at);
                }
                at
            }
            at => at,
        };
        &mut self.kinds[usize::from(at)]
    }
    #[inline]
    fn kind_at(&self, kind: EventType) -> u16 {
        match self.direct.get(usize::from(kind.0)) {
            Some(&at) => at,
            None if self.far.is_empty() => NONE,
            None => self.far.get(&kind.0).copied().unwrap_or(NONE),
        }
    }

    fn classify(&mut self, campaigns: &[Campaign]) {
        let placed: Vec<usize> = (0..campaigns.len()).filter(|&i| self.bit_of[i] != u32::MAX).collect();
        // cell → the campaigns whose area has it
        let mut inside: FixedMap<u32, Vec<u32>> = FixedMap::default();
        for &i in &placed {
            let area = campaigns[i].trigger.as_ref().and_then(|t| t.on.area.as_ref());
            for cell in area.iter().flat_map(|a| a.cells()) {
                inside.entry(cell.0).or_default().push(i as u32);
            }
        }
        let mut members: Vec<Vec<u32>> = vec![Vec::new()];
        let mut class_of: FixedMap<Vec<u32>, u32> = FixedMap::default();
        let mut cells: Vec<(u32, Vec<u32>)> = inside.into_iter().collect();
        cells.sort_unstable();
        for (cell, list) in cells {
            let class = *class_of.entry(list).or_insert_with_key(|list| {
                members.push(list.clone());
                members.len() as u32 - 1
            });
            if (cell as usize) < CELLS_DIRECT {
                if self.classes.direct.len() <= cell as usize {
                    self.classes.direct.resize(cell as usize + 1, 0);
                }
                self.classes.direct[cell as usize] = class;
            } else {
                self.classes.far.insert(cell, class);
            }
        }
        self.mask(campaigns, &placed, &members);
    }

    fn mask(&mut self, campaigns: &[Campaign], placed: &[usize], members: &[Vec<u32>]) {
        for &i in placed {
            let Some(t) = &campaigns[i].trigger else { continue };
            let (word, bit) = (self.bit_of[i] as usize / 64, self.bit_of[i] % 64);
            let peer_at = self.matrix.layout().peer_word(word).unwrap_or(0);
            let kind = self.kind_mut(t.on.kind);
            let k = kind.words.iter().position(|w| w.at == word).unwrap_or_else(|| {
                kind.words.push(Word { at: word, free: 0, peered: 0, peer_at });
                kind.words.len() - 1
            });
            kind.words[k].free |= u64::from(!t.own) << bit;
            kind.words[k].peered |= u64::from(t.peer) << bit;
            for f in t.earlier.iter().flat_map(|e| e.filters()) {
                let feeds = &mut self.kind_mut(f.kind).feeds;
                if !feeds.contains(&(i as u32)) {
                    feeds.push(i as u32);
                }
            }
        }
        for kind in &mut self.kinds {
            kind.masks = vec![0; kind.words.len() * members.len()];
        }
        for &i in placed {
            if campaigns[i].trigger.as_ref().is_some_and(|t| t.on.area.is_none()) {
                (0..members.len()).for_each(|class| self.let_in(campaigns, i, class));
            }
        }
        for (class, list) in members.iter().enumerate() {
            list.iter().for_each(|&i| self.let_in(campaigns, i as usize, class));
        }
    }
    fn let_in(&mut self, campaigns: &[Campaign], i: usize, class: usize) {
        let Some(t) = &campaigns[i].trigger else { return };
        let (word, bit) = (self.bit_of[i] as usize / 64, self.bit_of[i] % 64);
        let kind = self.kind_mut(t.on.kind);
        if let Some(k) = kind.words.iter().position(|w| w.at == word) {
            let n = kind.words.len();
            kind.masks[class * n + k] |= 1 << bit;
        }
    }

    fn open_windows(&mut self, campaigns: &[Campaign]) {
        if campaigns.iter().all(|c| c.trigger.as_ref().is_none_or(|t| t.window.is_empty())) {
            return;
        }
        self.windows = vec![0; 1440 * self.words];
        for (i, c) in campaigns.iter().enumerate() {
            let (Some(t), bit) = (&c.trigger, self.bit_of[i]) else { continue };
            if bit == u32::MAX {
                continue;
            }
            for minute in (0..1440).filter(|&m| t.in_window(m)) {
                self.windows[usize::from(minute) * self.words + bit as usize / 64] |= 1 << (bit % 64);
            }
        }
    }

    pub fn unmatched(&self) -> &[CampaignId] {
        &self.unmatched
    }

    /// Whether the static bit of the campaign at a place of the book is set, or it asks for none.
    pub fn own(&self, at: usize, campaign: &Campaign, subscriber: SubscriberId) -> bool {
        let bit = self.bit_of.get(at).copied().unwrap_or(u32::MAX);
        let asks = campaign.trigger.as_ref().is_some_and(|t| t.own);
        bit != u32::MAX && (!asks || self.matrix.has(bit as usize, subscriber))
    }

    /// Whether the peer bit of the campaign at a place of the book is set.
    pub fn peer(&self, at: usize, peer: PartyId) -> bool {
        let bit = self.bit_of.get(at).copied().unwrap_or(u32::MAX);
        let word = self.matrix.layout().peer_word(bit as usize / 64);
        word.and_then(|w| self.matrix.peer(peer).get(w)).is_some_and(|w| w >> (bit % 64) & 1 == 1)
    }

    /// Campaigns that may be concerned by an event, by place in the book, in no order: type, area, own bit, window and
    /// peer bit hold; flags and comparisons are still to be checked.
    #[inline]
    pub fn candidates(&self, e: &Event, minute: impl FnOnce() -> u16, found: &mut Vec<u32>) {
        let kind = self.kind_at(e.kind);
        if kind == NONE {
            return;
        }
        let kind = &self.kinds[usize::from(kind)];
        let n = kind.words.len();
        let from = self.classes.of(e.cell) * n;
        let row = self.matrix.own(e.subscriber);
        let mut minute = Some(minute);
        let mut open: &[u64] = &[];
        for (w, &mask) in kind.words.iter().zip(&kind.masks[from..from + n]) {
            let mut m = mask & (row.get(w.at).copied().unwrap_or(0) | w.free);
            if m == 0 {
                continue;
            }
            if !self.windows.is_empty() {
                if let Some(minute) = minute.take() {
                    let at = usize::from(minute()) * self.words;
                    open = &self.windows[at..at + self.words];
                }
                m &= open[w.at];
            }
            if m & w.peered != 0 {
                m &= self.matrix.peer(e.peer).get(w.peer_at).copied().unwrap_or(0) | !w.peered;
            }
            while m != 0 {
                found.push(self.slots[w.at * 64 + m.trailing_zeros() as usize]);
                m &= m - 1;
            }
        }
    }

    /// Campaigns that count events of this type, by place in the book.
    #[inline]
    pub fn feeds(&self, kind: EventType) -> &[u32] {
        match self.kind_at(kind) {
            NONE => &[],
            at => &self.kinds[usize::from(at)].feeds,
        }
    }

    /// Asks the processor for the row that an event of this subscriber will read.
    #[inline]
    pub fn prefetch(&self, subscriber: SubscriberId) {
        if let Some(word) = self.matrix.own(subscriber).first() {
            crate::prefetch::read(word);
        }
    }
    /// Whether the event has any candidate, window and peer apart. Asks for the peer's row if one is to be looked at.
    #[inline]
    pub fn glance(&self, e: &Event) -> bool {
        let kind = self.kind_at(e.kind);
        if kind == NONE {
            return false;
        }
        let kind = &self.kinds[usize::from(kind)];
        let n = kind.words.len();
        let from = self.classes.of(e.cell) * n;
        let row = self.matrix.own(e.subscriber);
        let mut any = false;
        for (w, &mask) in kind.words.iter().zip(&kind.masks[from..from + n]) {
            let m = mask & (row.get(w.at).copied().unwrap_or(0) | w.free);
            any |= m != 0;
            if m & w.peered != 0
                && let Some(word) = self.matrix.peer(e.peer).first()
            {
                crate::prefetch::read(word);
            }
        }
        any
    }
}

/// Whether leaving the campaign's area ends its timers: asked for each cell that a waiting subscriber is seen in.
pub(crate) fn ends_by_leaving(campaign: &Campaign, cell: CellId) -> bool {
    let Some(t) = &campaign.trigger else { return false };
    matches!(t.then, Then::Dwell { .. }) && t.on.area.as_ref().is_some_and(|a| !a.has(cell))
}
