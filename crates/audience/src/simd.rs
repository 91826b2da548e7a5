//! The one place of unsafe code: programs compiled for the processor that runs them, chosen at run time.

#![allow(unsafe_code)]

use crate::{
    contrast::Pair,
    form::{Block, Words},
    program::{self, Machine, Part, Sink, TILE, Tile},
};

/// What the processor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 with population count and byte compression (Ice Lake, Zen 4 and later).
    Wide,
    Avx2,
    /// Whatever the program was compiled for.
    Plain,
}

impl Level {
    /// The best that this processor has.
    pub(crate) fn best() -> Self {
        *Self::all().first().unwrap_or(&Self::Plain)
    }
    /// Whether [`Level::Wide`] is there; the answer is kept by the standard library.
    #[inline(always)]
    fn best_is_wide() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            macro_rules! has { ($($f:tt),*) => { $(std::arch::is_x86_feature_detected!($f))&&* } }
            has!("popcnt", "bmi1", "bmi2", "lzcnt", "avx2")
                && has!("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vpopcntdq", "avx512vbmi2")
        }
        #[cfg(not(target_arch = "x86_64"))]
        false
    }
    /// All that this processor has, the best first.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            macro_rules! has { ($($f:tt),*) => { $(std::arch::is_x86_feature_detected!($f))&&* } }
            let bits = has!("popcnt", "bmi1", "bmi2", "lzcnt", "avx2");
            if Self::best_is_wide() {
                all.push(Self::Wide);
            }
            if bits {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Plain);
        all
    }
}

impl Machine<'_> {
    /// Runs the program of one block at a level from [`Level::all`].
    pub(crate) fn run_at<S: Sink>(&mut self, level: Level, sink: &mut S) {
        match level {
            // SAFETY: `Level::all` gave this level, so the processor has every feature that the function names
            #[cfg(target_arch = "x86_64")]
            Level::Wide => unsafe { run_wide(self, sink) },
            // SAFETY: as above
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { run_avx2(self, sink) },
            _ => self.run::<false, S>(sink),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt,bmi1,bmi2,lzcnt,avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
fn run_wide<S: Sink>(machine: &mut Machine<'_>, sink: &mut S) {
    machine.run::<true, S>(sink);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt,bmi1,bmi2,lzcnt,avx2")]
fn run_avx2<S: Sink>(machine: &mut Machine<'_>, sink: &mut S) {
    machine.run::<false, S>(sink);
}

/// [`crate::program::list`] by byte compression.
#[inline(always)]
pub(crate) fn list_wide(bits: &Tile, first: u32, out: &mut [u32]) -> usize {
    // every write below stays within a tile's 4,096 members and one vector of 16 behind them
    #[cfg(target_arch = "x86_64")]
    if out.len() >= TILE * 64 + 64 && Level::best_is_wide() {
        // SAFETY: the processor has the features that the function names, and `out` has the room that it asks for
        return unsafe { list_compressed(bits, first, out) };
    }
    program::list(bits, first, out)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "popcnt,bmi1,bmi2,lzcnt,avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2")]
fn list_compressed(bits: &Tile, first: u32, out: &mut [u32]) -> usize {
    use std::arch::x86_64::{
        __m128i, __m512i, _mm512_add_epi32, _mm512_cvtepu8_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
        _mm512_set1_epi32, _mm512_storeu_si512,
    };
    const PLACES: [u8; 64] = {
        let mut p = [0u8; 64];
        let mut i = 0;
        while i < 64 {
            p[i] = i as u8;
            i += 1;
        }
        p
    };
    // SAFETY: 64 bytes are read from an array of 64
    let places: __m512i = unsafe { _mm512_loadu_si512(PLACES.as_ptr().cast()) };
    let mut n = 0usize;
    for (i, &w) in bits.iter().enumerate() {
        let base = _mm512_set1_epi32((first + 64 * i as u32) as i32);
        let packed = _mm512_maskz_compress_epi8(w, places);
        // SAFETY: both are 64 bytes without invalid values
        let quarters: [__m128i; 4] = unsafe { std::mem::transmute(packed) };
        let count = w.count_ones() as usize;
        for (k, q) in quarters.iter().enumerate() {
            if k > 0 && count <= 16 * k {
                break;
            }
            let ids = _mm512_add_epi32(_mm512_cvtepu8_epi32(*q), base);
            // SAFETY: n ≤ 64·i and k·16 + 16 ≤ 64, so the write ends at most at 64·(i + 1) ≤ TILE·64 < out.len()
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(n + 16 * k).cast(), ids) };
        }
        n += count;
    }
    n
}

/// A function compiled for each level, and chosen by its first argument.
macro_rules! at_level {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? = $body:expr) => {
        $(#[$doc])*
        pub(crate) fn $name(level: Level, $($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(
                enable = "popcnt,bmi1,bmi2,lzcnt,avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vbmi2"
            )]
            fn wide($($arg: $ty),*) $(-> $out)? {
                $body
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "popcnt,bmi1,bmi2,lzcnt,avx2")]
            fn avx2($($arg: $ty),*) $(-> $out)? {
                $body
            }
            match level {
                // SAFETY: `Level::all` gave this level, so the processor has every feature that the function names
                #[cfg(target_arch = "x86_64")]
                Level::Wide => unsafe { wide($($arg),*) },
                // SAFETY: as above
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body,
            }
        }
    };
}

at_level! {
    /// Members of both.
    common(a: &Words, b: &Words) -> u64 =
        a.iter().zip(b).map(|(a, b)| u64::from((a & b).count_ones())).sum()
}
at_level! {
    /// [`program::pair`].
    pair(words: &Block, set: &Words, base: &Words) -> Pair = program::pair(words, set, base)
}
at_level! {
    /// [`Machine::bins`].
    bins(machine: &Machine<'_>, ends: &[Option<u64>], set: &Words, base: &Words, past: &mut [Pair]) =
        machine.bins(ends, set, base, past)
}

/// Tells the processor that the bytes `DISTANCE` behind this part are read soon. They may lie anywhere.
#[inline(always)]
pub(crate) fn ahead<const DISTANCE: usize>(part: &Part) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..size_of::<Part>() / 64 {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = part.as_ptr().cast::<i8>().wrapping_add(DISTANCE + 64 * line);
        // SAFETY: a prefetch is a hint: it reads nothing into the program and never faults, wherever it points
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
    }
}
