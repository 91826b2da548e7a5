//! Every draw of a world follows from its seed.

use kairos_model::hash;

/// A stream of draws; two streams of one seed are independent.
pub struct Dice {
    salt: u64,
    drawn: u64,
}

impl Dice {
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self { salt: hash::salted2(0x5349_4d55_4c41_5445, seed, stream), drawn: 0 }
    }
    pub const fn next(&mut self) -> u64 {
        self.drawn += 1;
        hash::salted(self.salt, self.drawn)
    }
    /// `0..n`; 0 for `n` = 0.
    pub const fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }
    /// `from..=to`.
    pub const fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from + 1) as u64) as i64
    }
    pub const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    pub const fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
