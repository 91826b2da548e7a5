// The ceiling of workload W2 (benches/audience/README.md), as its definition gives it. Not a part of the workspace: the
// bench compiles it for the processor at hand, `make bench-audience` says how.
// Ceiling of benchmark W2 (w2.md): one fused loop over packed bits for each expression, one thread, AVX-512.
//   rustc -O -C target-cpu=native -C panic=abort w2_probe.rs -o w2_probe && ./w2_probe [N=10000000] [seed=1]
// t[k]: bit set where tag k is true. f[k]: bit set where it is false (unknown: neither). arpu: 0xFFFF where unknown.
use std::arch::x86_64::*;
#[repr(C)]
struct Ts {
    s: i64,
    n: i64,
}
extern "C" {
    fn clock_gettime(c: i32, t: *mut Ts) -> i32;
}
fn cpu() -> f64 {
    let mut t = Ts { s: 0, n: 0 };
    unsafe {
        clock_gettime(3, &mut t);
    }
    t.s as f64 + t.n as f64 * 1e-9
}
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E3779B97F4A7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D049BB133111EB);
    z ^ (z >> 31)
}
const TH: [u64; 40] = [
    65, 77, 90, 107, 126, 148, 175, 206, 243, 286, 337, 398, 469, 552, 651, 767, 904, 1065, 1255, 1478, 1742, 2053, 2419, 2850, 3358, 3956, 4662, 5493, 6472,
    7625, 8985, 10586, 12473, 14696, 17316, 20402, 24039, 28324, 33373, 39321,
];
fn unknown(k: usize) -> u64 {
    match k {
        5 | 16 => 6_554,
        20 => 1_311,
        39 => 3_277,
        130 => 1_311,
        _ => 0,
    }
}
const REPS: usize = 5;
fn main() {
    let arg = |i: usize, d: usize| std::env::args().nth(i).map(|x| x.parse().expect("number")).unwrap_or(d);
    let (n, seed) = (arg(1, 10_000_000), arg(2, 1) as u64);
    assert!(n % 64 == 0);
    let w = n / 64;
    let lane = |k: usize, i: usize| mix(mix(256 * seed + k as u64).wrapping_add(i as u64 / 4)) >> (16 * (i % 4)) & 0xFFFF;
    let column = |g: &dyn Fn(usize) -> bool| -> Vec<u64> { (0..w).map(|x| (0..64).fold(0, |v, b| v | (g(64 * x + b) as u64) << b)).collect() };
    let known: Vec<Vec<u64>> = (0..40).map(|k| if unknown(k) > 0 { column(&|i| lane(64 + k, i) >= unknown(k)) } else { vec![!0; w] }).collect();
    let t: Vec<Vec<u64>> = (0..40)
        .map(|k| {
            let mut c = column(&|i| lane(k, i) < TH[k]);
            for x in 0..w {
                c[x] &= known[k][x];
            }
            c
        })
        .collect();
    let f: Vec<Vec<u64>> = (0..40).map(|k| (0..w).map(|x| !t[k][x] & known[k][x]).collect()).collect();
    let arpu: Vec<u16> = (0..n)
        .map(|i| {
            if lane(130, i) < unknown(130) {
                0xFFFF
            } else {
                let x = lane(128, i);
                ((x * x * 1000) >> 32) as u16
            }
        })
        .collect();
    let days: Vec<u16> = (0..n).map(|i| ((lane(129, i) * 366) >> 16) as u16).collect();
    let mut jobs: Vec<(&str, Box<dyn Fn() -> u64 + '_>)> = vec![];
    macro_rules! ex { ($name:expr; $($v:ident = $c:expr),*; $e:expr) => {{ $(let $v = &$c[..w];)* jobs.push(($name, Box::new(move || { $(let $v = std::hint::black_box($v);)* let mut z = 0u64; for i in 0..w { $(let $v = $v[i];)* z += u64::from(($e).count_ones()); } z }))); }} }
    ex!("e0"; a = t[10], b = t[20], c = f[5]; a & b & c);
    ex!("e1"; a = t[30], b = t[35], c = f[39], d = t[12], e = t[38]; (a & b & c) | (d & e));
    ex!("e2"; a = t[1], b = t[2], c = t[3], d = t[4], e = t[30]; (a | b | c | d) & !e);
    ex!("e3"; a = t[39], b = t[38], c = t[37], d = t[36], e = f[20], g = t[21]; a & b & c & d & e & !g);
    ex!("e4"; a = t[0], b = t[8], c = t[33], d = t[34], e = t[25], g = t[26]; (a | b) & (c | d) & !e & !g);
    ex!("e5"; a = t[28], b = t[29], c = t[31], d = t[32], e = t[5], g = t[39]; (a & b) | (c & d) | (e & g));
    ex!("e6"; a = t[15], b = f[16], c = t[17], d = t[18], e = t[36], g = t[37]; a & b & !c & !d & (e | g));
    ex!("e7"; a = t[39], b = t[38], c = t[37], d = t[36], e = t[35]; a & !b & !c & !d & !e);
    ex!("e8"; a = t[20], b = t[21], c = t[22], d = t[30], e = t[31], g = t[32], x = t[0], y = t[1], q = t[2]; (a | b | c) & (d | e | g) & !(x | y | q));
    ex!("e9"; a = t[11], b = t[39], c = t[12], d = t[38], e = t[13], g = t[37], x = t[14], y = t[36]; (a & b) | (c & d) | (e & g) | (x & y));
    // 64 lanes of lo <= column < hi as one word
    #[inline(always)]
    fn range(p: &[u16], i: usize, lo: u16, hi: u16) -> u64 {
        unsafe {
            let (l, d) = (_mm512_set1_epi16(lo as i16), _mm512_set1_epi16((hi - lo) as i16));
            let q = p.as_ptr().add(64 * i);
            let a = _mm512_cmplt_epu16_mask(_mm512_sub_epi16(_mm512_loadu_si512(q as *const _), l), d) as u64;
            let b = _mm512_cmplt_epu16_mask(_mm512_sub_epi16(_mm512_loadu_si512(q.add(32) as *const _), l), d) as u64;
            a | b << 32
        }
    }
    macro_rules! nu { ($name:expr; $($v:ident = $c:expr),*; |$i:ident| $e:expr) => {{ $(let $v = &$c[..];)* jobs.push(($name, Box::new(move || { $(let $v = std::hint::black_box($v);)* let mut z = 0u64; for $i in 0..w { z += u64::from(($e).count_ones()); } z }))); }} }
    nu!("n0"; p = arpu; |i| range(p, i, 100, 300));
    nu!("n1"; p = arpu, d = days, a = t[30], b = t[12]; |i| (range(p, i, 500, 0xFFFF) & a[i]) | (range(d, i, 0, 7) & b[i]));
    nu!("n2"; p = arpu, d = days, a = f[39]; |i| range(p, i, 0, 50) & a[i] & range(d, i, 181, 0xFFFF));
    nu!("n3"; p = arpu, a = t[28], b = t[33]; |i| range(p, i, 0, 200) & (a[i] | b[i]));
    nu!("n4"; p = arpu, d = days, a = f[20]; |i| (range(d, i, 30, 60) & a[i]) | range(p, i, 800, 0xFFFF));
    // a round evaluates all, so that an expression does not find its columns in the cache from its own last run
    let mut rows: Vec<(&str, f64, u64)> = jobs.iter().map(|j| (j.0, f64::MAX, 0)).collect();
    for _ in 0..REPS {
        for (j, row) in jobs.iter().zip(&mut rows) {
            let s = cpu();
            row.2 = std::hint::black_box((j.1)());
            row.1 = row.1.min(cpu() - s);
        }
    }
    let (mut best, mut ids) = (f64::MAX, vec![0u32; n]);
    let mut m = 0;
    for _ in 0..REPS {
        let s = cpu();
        m = 0;
        for i in 0..w {
            let mut v = (t[30][i] & t[35][i] & f[39][i]) | (t[12][i] & t[38][i]);
            while v != 0 {
                ids[m] = 64 * i as u32 + v.trailing_zeros();
                m += 1;
                v &= v - 1;
            }
        }
        best = best.min(cpu() - s);
    }
    for (name, b, c) in &rows {
        println!("{name} {:8.3} ms {c:>10}", b * 1e3);
    }
    println!("extract e1 {:.3} ms, {m} ids, sum {}", best * 1e3, ids[..m].iter().map(|&x| x as u64).sum::<u64>());
    println!(
        "probe N={n} seed={seed}: boolean mean {:.3} ms, numeric mean {:.3} ms, extract {:.3} ms",
        rows[..10].iter().map(|r| r.1).sum::<f64>() * 100.0,
        rows[10..].iter().map(|r| r.1).sum::<f64>() * 200.0,
        best * 1e3
    );
}
