//! Seeded draws for the histories.

use kairos_model::hash;

pub struct Dice(pub u64, pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.1 += 1;
        hash::salted(self.0, self.1) % n
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    pub fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize].clone()
    }
}
