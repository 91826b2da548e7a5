//! What a condition comes to for one block: a small program over bitmaps, run tile by tile.
//!
//! A tile is 4,096 subscribers (512 bytes of each bitmap): the whole program runs on one before the next, so that every
//! bitmap is read once, from memory as a stream, and all between stays in the first-level cache.

use crate::form::{BITS, Block, ONES, WORDS, ZEROS};

pub(crate) const TILE: usize = 64;
pub(crate) const TILES: usize = WORDS / TILE;
pub(crate) type Tile = [u64; TILE];

/// How a step's result meets the top of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meet {
    Push,
    And,
    Or,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// AND or OR of the sources `from..to`.
    Group { from: u32, to: u32, and: bool, meet: Meet },
    /// `low ≤ number ≤ high` over the digits `from..to`, the lowest first; `negated` turns the answer.
    Range { from: u32, to: u32, low: u64, high: u64, negated: bool, meet: Meet },
    /// The two top tiles become one.
    Join { and: bool },
}

/// A bitmap that a step reads: of the index (or a list), or made for this block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    place: u32,
    made: bool,
    /// All ones where the bitmap is read negated.
    flip: u64,
}

/// Programs and the room to run them; reused from block to block.
#[derive(Default)]
pub(crate) struct Machine<'a> {
    pub(crate) ops: Vec<Op>,
    pub(crate) sources: Vec<Source>,
    stored: Vec<&'a Block>,
    made: Vec<Block>,
    made_used: usize,
    stack: Vec<Tile>,
}

/// Where results go, tile by tile.
pub(crate) trait Sink {
    /// `FAST`: the processor has what [`crate::simd::Level::Wide`] asks for.
    fn take<const FAST: bool>(&mut self, tile: usize, bits: &Tile);
}

impl<'a> Machine<'a> {
    pub(crate) fn clear(&mut self) {
        self.ops.clear();
        self.sources.clear();
        self.stored.clear();
        self.made_used = 0;
    }
    pub(crate) fn stored(&mut self, block: &'a Block, negated: bool) -> Source {
        self.stored.push(block);
        Source { place: self.stored.len() as u32 - 1, made: false, flip: mask(negated) }
    }
    pub(crate) fn constant(&mut self, value: bool) -> Source {
        self.stored(if value { &ONES } else { &ZEROS }, false)
    }
    /// An empty bitmap to be filled by [`Machine::mark`].
    pub(crate) fn blank(&mut self, negated: bool) -> Source {
        match self.made.get_mut(self.made_used) {
            Some(block) => block.as_flattened_mut().fill(0),
            None => self.made.push([[0; 8]; WORDS]),
        }
        self.made_used += 1;
        Source { place: self.made_used as u32 - 1, made: true, flip: mask(negated) }
    }
    /// Adds positions to a bitmap from [`Machine::blank`].
    pub(crate) fn mark(&mut self, source: Source, positions: &[[u8; 2]]) {
        let Some(block) = self.made.get_mut(source.place as usize) else { return };
        let bytes: &mut [u8] = block.as_flattened_mut();
        for p in positions {
            let p = usize::from(u16::from_le_bytes(*p));
            bytes[p / 8] |= 1 << (p % 8);
        }
    }
    /// Sets the first `rows` rows of a bitmap from [`Machine::blank`].
    pub(crate) fn fill_first(&mut self, source: Source, rows: usize) {
        let Some(block) = self.made.get_mut(source.place as usize) else { return };
        let bytes: &mut [u8] = block.as_flattened_mut();
        bytes[..rows / 8].fill(0xFF);
        if !rows.is_multiple_of(8) {
            bytes[rows / 8] = (1 << (rows % 8)) - 1;
        }
    }
    fn block(&self, s: &Source) -> &Block {
        let from = if s.made { self.made.get(s.place as usize) } else { self.stored.get(s.place as usize).copied() };
        from.unwrap_or(&ZEROS)
    }
}

fn mask(negated: bool) -> u64 {
    if negated { u64::MAX } else { 0 }
}

/// Bytes by which reading is announced before it is done: three tiles.
const AHEAD: usize = 1536;

pub(crate) type Part = [[u8; 8]; TILE];

#[inline(always)]
fn part(block: &Block, tile: usize) -> &Part {
    let part = &block.as_chunks::<TILE>().0[tile];
    crate::simd::ahead::<AHEAD>(part);
    part
}
#[inline(always)]
fn word(b: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*b)
}

impl Machine<'_> {
    /// Runs the program on every tile. Compiled once for each [`crate::simd::Level`].
    #[inline(always)]
    pub(crate) fn run<const FAST: bool, S: Sink>(&mut self, sink: &mut S) {
        let mut stack = std::mem::take(&mut self.stack);
        stack.resize(self.height().max(stack.len()), [0; TILE]);
        for tile in 0..TILES {
            let mut top = 0usize;
            for op in &self.ops {
                top = self.step(op, tile, &mut stack, top);
            }
            sink.take::<FAST>(tile, &stack[0]);
        }
        self.stack = stack;
    }

    /// Tiles that the program has on the stack at most, at least one.
    fn height(&self) -> usize {
        let (mut now, mut most) = (0usize, 1usize);
        for op in &self.ops {
            match op {
                Op::Group { meet: Meet::Push, .. } | Op::Range { meet: Meet::Push, .. } => now += 1,
                Op::Join { .. } => now -= 1,
                _ => {}
            }
            most = most.max(now);
        }
        most
    }

    /// One step; the new height of the stack.
    #[inline(always)]
    fn step(&self, op: &Op, tile: usize, stack: &mut [Tile], top: usize) -> usize {
        match *op {
            Op::Group { from, to, and, meet } => {
                let sources = &self.sources[from as usize..to as usize];
                if meet == Meet::Push {
                    self.group(sources, and, true, tile, &mut stack[top]);
                    return top + 1;
                }
                if (meet == Meet::And) == and {
                    self.group(sources, and, false, tile, &mut stack[top - 1]);
                } else {
                    let mut own = [0; TILE];
                    self.group(sources, and, true, tile, &mut own);
                    join(&mut stack[top - 1], &own, meet == Meet::And);
                }
                top
            }
            Op::Range { from, to, low, high, negated, meet } => {
                let digits = &self.sources[from as usize..to as usize];
                let own = self.range(digits, low, high, mask(negated), tile);
                if meet == Meet::Push {
                    stack[top] = own;
                    return top + 1;
                }
                join(&mut stack[top - 1], &own, meet == Meet::And);
                top
            }
            Op::Join { and } => {
                let (below, upper) = stack.split_at_mut(top - 1);
                join(&mut below[top - 2], &upper[0], and);
                top - 1
            }
        }
    }

    /// ANDs or ORs the sources into a tile, or where it is `fresh` puts them there.
    #[inline(always)]
    fn group(&self, sources: &[Source], and: bool, fresh: bool, tile: usize, into: &mut Tile) {
        if and { self.fold::<true>(sources, fresh, tile, into) } else { self.fold::<false>(sources, fresh, tile, into) }
    }

    /// Four sources at a time, so that the tile itself is read and written seldom.
    #[inline(always)]
    fn fold<const AND: bool>(&self, sources: &[Source], fresh: bool, tile: usize, into: &mut Tile) {
        let mut rest = sources;
        if fresh {
            let (first, others) = sources.split_at(sources.len().min(4));
            self.few::<AND, true>(first, tile, into);
            rest = others;
        }
        rest.chunks(4).for_each(|s| self.few::<AND, false>(s, tile, into));
    }

    /// One to four sources.
    #[inline(always)]
    fn few<const AND: bool, const FRESH: bool>(&self, sources: &[Source], tile: usize, into: &mut Tile) {
        let get = |s: &Source| (part(self.block(s), tile), s.flip);
        let meet = |a: u64, b: u64| if AND { a & b } else { a | b };
        let put = |old: &mut u64, new: u64| *old = if FRESH { new } else { meet(*old, new) };
        match sources {
            [a, b, c, d] => {
                let ((a, fa), (b, fb), (c, fc), (d, fd)) = (get(a), get(b), get(c), get(d));
                for i in 0..TILE {
                    let left = meet(word(&a[i]) ^ fa, word(&b[i]) ^ fb);
                    put(&mut into[i], meet(left, meet(word(&c[i]) ^ fc, word(&d[i]) ^ fd)));
                }
            }
            [a, b, c] => {
                let ((a, fa), (b, fb), (c, fc)) = (get(a), get(b), get(c));
                for i in 0..TILE {
                    put(&mut into[i], meet(meet(word(&a[i]) ^ fa, word(&b[i]) ^ fb), word(&c[i]) ^ fc));
                }
            }
            [a, b] => {
                let ((a, fa), (b, fb)) = (get(a), get(b));
                for i in 0..TILE {
                    put(&mut into[i], meet(word(&a[i]) ^ fa, word(&b[i]) ^ fb));
                }
            }
            [a] => {
                let (a, fa) = get(a);
                for i in 0..TILE {
                    put(&mut into[i], word(&a[i]) ^ fa);
                }
            }
            _ => {}
        }
    }

    /// `low ≤ x ≤ high` of the numbers whose digits these are. From the lowest digit on: `x ≥ c` over the digits so far
    /// is `digit & before` where the digit of `c` is 1 and `digit | before` where it is 0, that is the majority of digit,
    /// before and NOT c. O'Neil and Quass 1997, "Improved query performance with variant indexes", 4.3.
    #[inline(always)]
    fn range(&self, digits: &[Source], low: u64, high: u64, flip: u64, tile: usize) -> Tile {
        let top = if digits.len() >= 64 { u64::MAX } else { (1u64 << digits.len()) - 1 };
        if high >= top {
            let mut all = [u64::MAX; TILE];
            self.at_least(digits, low, tile, &mut all);
            all.iter_mut().for_each(|w| *w ^= flip);
            return all;
        }
        // below `top`, so that one more is still a number of these digits
        let past = high + 1;
        if low == 0 {
            let mut all = [u64::MAX; TILE];
            self.at_least(digits, past, tile, &mut all);
            all.iter_mut().for_each(|w| *w ^= !flip);
            return all;
        }
        let (mut least, mut over) = ([u64::MAX; TILE], [u64::MAX; TILE]);
        for (k, s) in digits.iter().enumerate() {
            let d = part(self.block(s), tile);
            let (l, o) = (mask(low >> k & 1 == 0), mask(past >> k & 1 == 0));
            for i in 0..TILE {
                let d = word(&d[i]);
                least[i] = (least[i] & d) | (l & (least[i] | d));
                over[i] = (over[i] & d) | (o & (over[i] | d));
            }
        }
        least.iter_mut().zip(&over).for_each(|(l, o)| *l = (*l & !*o) ^ flip);
        least
    }

    #[inline(always)]
    fn at_least(&self, digits: &[Source], bound: u64, tile: usize, all: &mut Tile) {
        // below the lowest 1 of the bound every number passes
        let first = (bound.trailing_zeros() as usize).min(digits.len());
        for (k, s) in digits.iter().enumerate().skip(first) {
            let d = part(self.block(s), tile);
            let zero = mask(bound >> k & 1 == 0);
            for i in 0..TILE {
                let d = word(&d[i]);
                all[i] = (all[i] & d) | (zero & (all[i] | d));
            }
        }
    }
}

impl Machine<'_> {
    /// Of the sources that [`Machine::number`] put, adds to `past[0]` who is known and to `past[i + 1]` whose number is
    /// at least `ends[i]` (`None`: nobody's is), each within the set and within the base.
    #[inline(always)]
    pub(crate) fn bins(
        &self,
        ends: &[Option<u64>],
        set: &[u64; WORDS],
        base: &[u64; WORDS],
        past: &mut [crate::contrast::Pair],
    ) {
        let Some((known, digits)) = self.sources.split_first() else { return };
        for tile in 0..TILES {
            let within = tile * TILE..(tile + 1) * TILE;
            let known = part(self.block(known), tile);
            let (mut s, mut b) = ([0u64; TILE], [0u64; TILE]);
            for (i, at) in within.enumerate() {
                let known = word(&known[i]);
                (s[i], b[i]) = (set[at] & known, base[at] & known);
            }
            let all = [u64::MAX; TILE];
            let ends = std::iter::once(Some(0)).chain(ends.iter().copied());
            for (end, p) in ends.zip(past.iter_mut()) {
                let Some(end) = end else { continue };
                let mut at = all;
                self.at_least(digits, end, tile, &mut at);
                for i in 0..TILE {
                    p.set += u64::from((at[i] & s[i]).count_ones());
                    p.base += u64::from((at[i] & b[i]).count_ones());
                }
            }
        }
    }
}

/// Members of a bitmap within the set and within the base.
#[inline(always)]
pub(crate) fn pair(words: &Block, set: &[u64; WORDS], base: &[u64; WORDS]) -> crate::contrast::Pair {
    let mut p = crate::contrast::Pair::default();
    for ((w, s), b) in words.iter().zip(set).zip(base) {
        let w = word(w);
        p.set += u64::from((w & s).count_ones());
        p.base += u64::from((w & b).count_ones());
    }
    p
}

#[inline(always)]
fn join(into: &mut Tile, other: &Tile, and: bool) {
    if and {
        into.iter_mut().zip(other).for_each(|(a, b)| *a &= *b);
    } else {
        into.iter_mut().zip(other).for_each(|(a, b)| *a |= *b);
    }
}

/// Sums of population counts, a lane of a vector each: only the end adds them up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lanes([u64; 8]);

impl Lanes {
    #[inline(always)]
    pub(crate) fn add(&mut self, bits: &[u64; 8]) {
        self.0.iter_mut().zip(bits).for_each(|(n, w)| *n += u64::from(w.count_ones()));
    }
    #[inline(always)]
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Counts members.
#[derive(Default)]
pub(crate) struct Counted {
    lanes: Lanes,
}

impl Counted {
    pub(crate) fn sum(&self) -> u64 {
        self.lanes.sum()
    }
}

impl Sink for Counted {
    #[inline(always)]
    fn take<const FAST: bool>(&mut self, _: usize, bits: &Tile) {
        let mut lanes = self.lanes;
        bits.as_chunks::<8>().0.iter().for_each(|c| lanes.add(c));
        self.lanes = lanes;
    }
}

/// Keeps the block.
pub(crate) struct Kept<'w>(pub(crate) &'w mut [u64; WORDS]);

impl Sink for Kept<'_> {
    #[inline(always)]
    fn take<const FAST: bool>(&mut self, tile: usize, bits: &Tile) {
        self.0[tile * TILE..(tile + 1) * TILE].copy_from_slice(bits);
    }
}

/// Writes the ordinals of members.
pub(crate) struct Listed<'o> {
    /// Longer than what is written by at least a tile.
    pub(crate) out: &'o mut Vec<u32>,
    pub(crate) n: usize,
    /// The ordinal of the block's first row.
    pub(crate) first: u32,
}

impl Sink for Listed<'_> {
    #[inline(always)]
    fn take<const FAST: bool>(&mut self, tile: usize, bits: &Tile) {
        let room = self.n + TILE * 64 + 64;
        if self.out.len() < room {
            self.out.resize(room.max(self.out.len() * 2).max(BITS), 0);
        }
        let first = self.first + (tile * TILE * 64) as u32;
        let out = &mut self.out[self.n..room];
        self.n += if FAST { crate::simd::list_wide(bits, first, out) } else { list(bits, first, out) };
    }
}

/// Writes the ordinals of a tile's members; `out` has room for 64 more than there can be.
#[inline(always)]
pub(crate) fn list(bits: &Tile, first: u32, out: &mut [u32]) -> usize {
    let mut n = 0usize;
    for (i, w) in bits.iter().enumerate() {
        let (mut w, base, count) = (*w, first + 64 * i as u32, w.count_ones() as usize);
        let Some(room) = out.get_mut(n..).and_then(|o| o.first_chunk_mut::<64>()) else { return n };
        // by fours, the last ones perhaps beyond what is there: fewer branches than one each
        let mut k = 0;
        while k < count {
            for slot in &mut room[k..k + 4] {
                *slot = base + w.trailing_zeros();
                w &= w.wrapping_sub(1);
            }
            k += 4;
        }
        n += count;
    }
    n
}
