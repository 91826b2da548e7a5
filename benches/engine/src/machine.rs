//! What the machine tells: processor time, memory, and the SHA-256 of a text.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Processor time of the whole process, all threads.
pub fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec as u32)
}

/// Resident bytes of the process.
pub fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|x| x.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// FIPS 180-4; the constants are the fractional parts of the roots of the first primes.
pub fn sha256(message: &[u8]) -> String {
    let primes: Vec<u128> = (2u128..).filter(|p| (2..*p).all(|d| p % d != 0)).take(64).collect();
    let root = |p: u128, cube: bool| {
        let (mut lo, mut hi) = (0u128, 1u128 << 36);
        while hi - lo > 1 {
            let x = (lo + hi) / 2;
            let le = if cube { x * x * x <= p << 96 } else { x * x <= p << 64 };
            if le { lo = x } else { hi = x }
        }
        lo as u32
    };
    let k: Vec<u32> = primes.iter().map(|&p| root(p, true)).collect();
    let mut s: Vec<u32> = primes[..8].iter().map(|&p| root(p, false)).collect();
    let mut v = message.to_vec();
    v.push(0x80);
    while v.len() % 64 != 56 {
        v.push(0);
    }
    v.extend((8 * message.len() as u64).to_be_bytes());
    for block in v.chunks(64) {
        let mut w: Vec<u32> = block.chunks(4).map(|x| u32::from_be_bytes([x[0], x[1], x[2], x[3]])).collect();
        for i in 16..64 {
            let (a, e) = (w[i - 15], w[i - 2]);
            let small = a.rotate_right(7) ^ a.rotate_right(18) ^ a >> 3;
            let large = e.rotate_right(17) ^ e.rotate_right(19) ^ e >> 10;
            w.push(w[i - 16].wrapping_add(small).wrapping_add(w[i - 7]).wrapping_add(large));
        }
        let mut x = s.clone();
        for i in 0..64 {
            let (a, e) = (x[0], x[4]);
            let t1 = x[7]
                .wrapping_add(e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25))
                .wrapping_add((e & x[5]) ^ (!e & x[6]))
                .wrapping_add(k[i])
                .wrapping_add(w[i]);
            let t2 = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22))
                .wrapping_add((a & x[1]) ^ (a & x[2]) ^ (x[1] & x[2]));
            x.rotate_right(1);
            x[4] = x[4].wrapping_add(t1);
            x[0] = t1.wrapping_add(t2);
        }
        s.iter_mut().zip(&x).for_each(|(s, x)| *s = s.wrapping_add(*x));
    }
    s.iter().map(|x| format!("{x:08x}")).collect()
}
