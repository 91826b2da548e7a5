//! Workload W2: N subscribers, 40 boolean tags, two numbers, fifteen conditions; its definition is in `README.md`.

use kairos_audience::{AskError, Builder, Built, Head, Index, MemorySets, Values};
use kairos_model::{LocalDay, SnapshotId, TenantId, Timestamp, hash::mix};
use kairos_rules::{Condition, MemoryCatalogue, TagInfo, TagType};

pub const TAGS: usize = 40;
const TH: [u64; TAGS] = [
    65, 77, 90, 107, 126, 148, 175, 206, 243, 286, 337, 398, 469, 552, 651, 767, 904, 1065, 1255, 1478, 1742, 2053,
    2419, 2850, 3358, 3956, 4662, 5493, 6472, 7625, 8985, 10586, 12473, 14696, 17316, 20402, 24039, 28324, 33373,
    39321,
];

/// As the definition writes them: e0 to e9, n0 to n4.
pub const CONDITIONS: [&str; 15] = [
    "t10 & t20 & ~t5",
    "(t30 & t35 & ~t39) | (t12 & t38)",
    "(t1 | t2 | t3 | t4) & ~t30",
    "(t39 & t38 & t37 & t36) & ~(t20 | t21)",
    "(t0 | t8) & (t33 | t34) & ~t25 & ~t26",
    "(t28 & t29) | (t31 & t32) | (t5 & t39)",
    "(t15 & ~t16 & ~t17 & ~t18) & (t36 | t37)",
    "t39 & ~t38 & ~t37 & ~t36 & ~t35",
    "(t20 | t21 | t22) & (t30 | t31 | t32) & ~(t0 | t1 | t2)",
    "(t11 & t39) | (t12 & t38) | (t13 & t37) | (t14 & t36)",
    "arpu >= 100 & arpu < 300",
    "(arpu >= 500 & t30) | (days < 7 & t12)",
    "arpu < 50 & ~t39 & days > 180",
    "~(arpu >= 200) & (t28 | t33)",
    "(days >= 30 & days < 60 & ~t20) | arpu >= 800",
];

/// Counts of the definition at 1 M, by seed from 1.
pub const AT_1M: [[u64; 15]; 3] = [
    [
        112, 19_767, 5_353, 42_545, 1_698, 43_043, 6_533, 69_370, 37_977, 14_518, 227_867, 39_198, 42_264, 132_191,
        173_696,
    ],
    [
        107, 19_787, 5_141, 42_478, 1_825, 42_952, 6_461, 69_374, 38_247, 14_171, 226_657, 39_636, 42_419, 131_906,
        173_934,
    ],
    [
        129, 19_866, 5_164, 42_510, 1_746, 42_694, 6_536, 69_240, 37_737, 14_541, 226_714, 39_550, 42_361, 131_684,
        174_780,
    ],
];
/// Counts of the definition at 10 M, seed 1.
pub const AT_10M: [u64; 15] = [
    1_143, 197_730, 52_398, 425_263, 17_573, 429_618, 63_987, 692_768, 377_755, 143_194, 2_268_025, 394_513, 421_317,
    1_318_678, 1_737_018,
];
/// Number and sum of the ids of e1 at 10 M, seed 1.
pub const EXTRACT_10M: (usize, u64) = (197_730, 988_946_350_461);

/// Sixteen bits of subscriber `i` in stream `k`.
pub fn lane(seed: u64, k: u64, i: u64) -> u64 {
    mix(mix(256 * seed + k).wrapping_add(i / 4)) >> (16 * (i % 4)) & 0xFFFF
}
pub fn threshold(k: usize) -> u64 {
    TH[k % TAGS]
}
/// Of 65,536, how many are unknown.
fn unknown(k: u64) -> u64 {
    match k {
        5 | 16 => 6_554,
        20 => 1_311,
        39 => 3_277,
        _ => 0,
    }
}

/// Values of a column in parts of this many rows.
pub const PART: usize = 1 << 16;

/// The index and what building it cost: (index, built, CPU-seconds within the builder).
pub fn build(rows: u32, seed: u64) -> (Index<Vec<u8>>, Built, f64) {
    let tenant = TenantId(1);
    let head = Head { tenant, snapshot: SnapshotId(1), as_of: Timestamp(0), day: LocalDay(0), rows };
    let mut spent = 0.0;
    let mut b = Builder::begin(Vec::new(), head).expect("fewer rows than ordinals");
    for k in 0..TAGS as u64 {
        let nulls = unknown(k);
        let draw = |i: u64| (lane(seed, k, i) < TH[k as usize], nulls == 0 || lane(seed, 64 + k, i) >= nulls);
        let mut c = b.column(&format!("t{k}"), &TagType::Bool, "").expect("a new column");
        for part in parts(rows) {
            let (values, valid): (Vec<bool>, Vec<bool>) = part.map(draw).unzip();
            spent += crate::timed(|| c.push(&Values::Bools(&values), (nulls > 0).then_some(&valid[..]))).0;
        }
        spent += crate::timed(|| c.finish().expect("a whole column")).0;
    }
    for name in ["arpu", "days"] {
        let mut c = b.column(name, &TagType::Int, "").expect("a new column");
        for part in parts(rows) {
            let value = |i: u64| match name {
                "arpu" => {
                    let x = lane(seed, 128, i);
                    ((x * x * 1000) >> 32) as i64
                }
                _ => ((lane(seed, 129, i) * 366) >> 16) as i64,
            };
            let values: Vec<i64> = part.clone().map(value).collect();
            let valid: Vec<bool> = part.map(|i| name == "days" || lane(seed, 130, i) >= 1_311).collect();
            spent += crate::timed(|| c.push(&Values::Numbers(&values), (name == "arpu").then_some(&valid[..]))).0;
        }
        spent += crate::timed(|| c.finish().expect("a whole column")).0;
    }
    let (bytes, built) = b.finish().expect("memory");
    (Index::open(bytes, tenant).expect("what was just built"), built, spent)
}

pub fn parts(rows: u32) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..u64::from(rows)).step_by(PART).map(move |from| from..(from + PART as u64).min(u64::from(rows)))
}

pub fn catalogue() -> MemoryCatalogue {
    let mut tags: Vec<TagInfo> = (0..TAGS).map(|k| TagInfo::new(&format!("t{k}"), "", "", TagType::Bool)).collect();
    tags.extend(["arpu", "days"].map(|id| TagInfo::new(id, "", "", TagType::Int)));
    MemoryCatalogue::new(tags, vec![], vec![])
}

/// The condition in the language: `t5` is `t5 = true`, `~` is `not`.
pub fn text(condition: &str) -> String {
    let spaced = condition.replace('(', " ( ").replace(')', " ) ").replace('~', " ~ ");
    let word = |w: &str| match w {
        "&" => "and".to_owned(),
        "|" => "or".to_owned(),
        "~" => "not".to_owned(),
        t if t.starts_with('t') => format!("{t} = true"),
        other => other.to_owned(),
    };
    spaced.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// From the text to the number: parse, check the types, plan, count.
pub fn count(index: &Index<Vec<u8>>, catalogue: &MemoryCatalogue, text: &str) -> Result<u64, AskError> {
    let condition = Condition::parse(text, catalogue).map_err(|p| AskError::Limit { what: p.render() })?;
    index.view().query(&condition, &MemorySets::default())?.count()
}

/// From the text to the ids.
pub fn extract(
    index: &Index<Vec<u8>>,
    catalogue: &MemoryCatalogue,
    text: &str,
    out: &mut Vec<u32>,
) -> Result<(), AskError> {
    let condition = Condition::parse(text, catalogue).map_err(|p| AskError::Limit { what: p.render() })?;
    index.view().query(&condition, &MemorySets::default())?.extract_into(out)
}
