//! Hashes that last: the same inputs give the same value in every process, version and machine.

/// Finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
#[inline]
pub const fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A value in `salt`'s stream for `x`: `mix(mix(salt) + x)`.
#[inline]
pub const fn salted(salt: u64, x: u64) -> u64 {
    mix(mix(salt).wrapping_add(x))
}

/// Two inputs folded into one stream; order matters.
#[inline]
pub const fn salted2(salt: u64, a: u64, b: u64) -> u64 {
    salted(salted(salt, a), b)
}

/// A draw in `0..1` from a hash: its upper 53 bits as a fraction.
#[inline]
pub fn unit(h: u64) -> f64 {
    (h >> 11) as f64 / (1u64 << 53) as f64
}

/// Whether the hash falls below `share`, given in parts per million (0 never, 1,000,000 always).
#[inline]
pub const fn below_ppm(h: u64, ppm: u32) -> bool {
    // (h * 1e6) >> 64 is uniform over 0..1e6 without the bias of `%`
    ((h as u128 * 1_000_000) >> 64) < ppm as u128
}

/// A `Hasher` with a fixed start, for maps whose order must not vary between runs.
#[derive(Clone, Copy, Default)]
pub struct FixedState;

/// Running state of [`FixedState`].
#[derive(Clone, Copy, Default)]
pub struct FixedHasher(u64);

impl std::hash::BuildHasher for FixedState {
    type Hasher = FixedHasher;
    fn build_hasher(&self) -> FixedHasher {
        FixedHasher(0)
    }
}

impl std::hash::Hasher for FixedHasher {
    fn finish(&self) -> u64 {
        mix(self.0)
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0u8; 8];
            word.copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0u8; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }
    fn write_u64(&mut self, x: u64) {
        self.0 = mix(self.0 ^ x);
    }
    fn write_u32(&mut self, x: u32) {
        self.write_u64(u64::from(x));
    }
    fn write_u128(&mut self, x: u128) {
        self.write_u64(x as u64);
        self.write_u64((x >> 64) as u64);
    }
    fn write_u8(&mut self, x: u8) {
        self.write_u64(u64::from(x));
    }
    fn write_usize(&mut self, x: usize) {
        self.write_u64(x as u64);
    }
}

/// A map with a fixed hash: same inserts, same order, in every run.
#[allow(clippy::disallowed_types)]
pub type FixedMap<K, V> = std::collections::HashMap<K, V, FixedState>;
/// A set with a fixed hash.
#[allow(clippy::disallowed_types)]
pub type FixedSet<K> = std::collections::HashSet<K, FixedState>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_matches_its_published_value() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn shares_are_exact_at_both_ends() {
        assert!(!below_ppm(0, 0));
        assert!(below_ppm(u64::MAX, 1_000_000));
        let hit = (0..1_000_000u64).filter(|&i| below_ppm(mix(i), 50_000)).count();
        assert!((49_000..51_000).contains(&hit), "{hit}");
    }
}
