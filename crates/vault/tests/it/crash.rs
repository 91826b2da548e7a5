//! Random lives with crashes and faults of the disk, against a plain model.

use crate::*;
use kairos_model::{Party, hash, mem_disk::Fault};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Enrol(Vec<u8>),
    Assign(u8, u8, u8),
    Dial(u8),
    Name(u8, u8),
    Suppress(u8),
    Lift(u8),
    Erase(u8),
    Fault(u64, Fault),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![Just(Fault::Halt), Just(Fault::Error), Just(Fault::Full)];
    let step = prop_oneof![
        2 => proptest::collection::vec(0..12u8, 1..5).prop_map(Step::Enrol),
        3 => (0..8u8, 0..5u8, 0..20u8).prop_map(|(s, n, d)| Step::Assign(s, n, d)),
        1 => (0..8u8).prop_map(Step::Dial),
        2 => (0..8u8, any::<u8>()).prop_map(|(s, t)| Step::Name(s, t)),
        2 => (0..6u8).prop_map(Step::Suppress),
        1 => (0..6u8).prop_map(Step::Lift),
        1 => (0..8u8).prop_map(Step::Erase),
        2 => (1..9u64, fault).prop_map(|(n, f)| Step::Fault(n, f)),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..50)
}

/// What was acknowledged. A call that failed may have done its work or not; it is repeated after the crash.
#[derive(Default)]
struct Model {
    keys: Vec<(u8, bool)>,
    facts: Vec<(u32, u8, i64)>,
    foreign: Vec<(u8, u32)>,
    names: hash::FixedMap<u32, String>,
    suppressed: [bool; 6],
}

impl Model {
    fn ordinal(&self, key: u8) -> Option<u32> {
        self.keys.iter().position(|&k| k == (key, true)).map(|i| i as u32)
    }
    fn apply(&mut self, vault: &Vault, step: &Step) -> Result<(), VaultError> {
        let count = self.keys.len() as u32;
        let pick = |s: u8| (count > 0).then(|| u32::from(s) % count).filter(|&s| self.keys[s as usize].1);
        match step {
            Step::Enrol(keys) => {
                let text: Vec<String> = keys.iter().map(|k| format!("key{k}")).collect();
                let got = vault.ensure_subscribers(&text.iter().map(String::as_str).collect::<Vec<_>>())?;
                for (&key, ordinal) in keys.iter().zip(got) {
                    if self.ordinal(key).is_none() {
                        self.keys.push((key, true));
                    }
                    assert_eq!(self.ordinal(key), Some(ordinal.0));
                }
            }
            Step::Assign(s, n, d) => {
                let Some(sub) = pick(*s) else { return Ok(()) };
                vault.assign(&[assignment(SubscriberId(sub), (*n).into(), day((*d).into()), Timestamp::MAX)])?;
                let covered = self.holder(*n, (*d).into()) == Some(sub)
                    && !self.facts.iter().any(|f| f.1 == *n && f.2 > i64::from(*d));
                let known = self.facts.contains(&(sub, *n, (*d).into()));
                if !covered && !known {
                    self.facts.push((sub, *n, (*d).into()));
                }
            }
            Step::Dial(n) => {
                let party = vault.ensure_parties(&[(Dialled::Number(number((*n).into())), day(-5))])?[0];
                let Some(Party::Foreign(f)) = party.party() else { panic!("{party:?}") };
                match self.foreign.iter().find(|x| x.0 == *n) {
                    Some(&(_, id)) => assert_eq!(id, f.0),
                    None => self.foreign.push((*n, f.0)),
                }
            }
            Step::Name(s, t) => {
                let Some(sub) = pick(*s) else { return Ok(()) };
                let text = format!("name {t}");
                vault.put_secrets(&[SecretRow { subscriber: SubscriberId(sub), field: "name", text: &text }])?;
                self.names.insert(sub, text);
            }
            Step::Suppress(n) => {
                vault.suppress(&[suppress_row((*n).into(), day(1))])?;
                self.suppressed[usize::from(*n)] = true;
            }
            Step::Lift(n) => {
                vault.unsuppress(number((*n).into()), day(1))?;
                self.suppressed[usize::from(*n)] = false;
            }
            Step::Erase(s) => {
                let Some(sub) = pick(*s) else { return Ok(()) };
                vault.erase(SubscriberId(sub))?;
                self.keys[sub as usize].1 = false;
                self.names.remove(&sub);
                let numbers: Vec<u8> = self.facts.iter().filter(|f| f.0 == sub).map(|f| f.1).collect();
                self.foreign.retain(|(n, _)| !numbers.contains(n));
                for n in numbers {
                    match self.facts.iter().any(|f| f.1 == n && f.0 != sub && f.0 != u32::MAX) {
                        // others do not get the number back: from then on it is nobody's
                        true => self.facts.iter_mut().filter(|f| (f.0, f.1) == (sub, n)).for_each(|f| f.0 = u32::MAX),
                        false => self.facts.retain(|f| f.1 != n),
                    }
                }
            }
            Step::Fault(..) | Step::Crash => {}
        }
        Ok(())
    }
    fn holder(&self, n: u8, d: i64) -> Option<u32> {
        let began = self.facts.iter().enumerate().filter(|(_, f)| f.1 == n && f.2 <= d);
        began.max_by_key(|(i, f)| (f.2, *i)).map(|(_, f)| f.0).filter(|&s| s != u32::MAX)
    }
    fn check(&self, vault: &Vault) {
        for (i, &(key, live)) in self.keys.iter().enumerate() {
            let sub = SubscriberId(i as u32);
            if live {
                assert_eq!(vault.ordinal(&format!("key{key}")), Some(sub));
            }
            assert_eq!(vault.is_erased(sub), !live);
            assert_eq!(vault.secret(sub, "name").unwrap(), self.names.get(&(i as u32)).cloned());
        }
        for n in 0..6u8 {
            assert_eq!(vault.is_suppressed(number(n.into())), self.suppressed[usize::from(n)]);
            for d in 0..22 {
                let holder = self.holder(n, d);
                assert_eq!(vault.holder(number(n.into()), day(d)).map(|s| s.0), holder, "number {n} day {d}");
                if let Some(s) = holder {
                    assert!(vault.has_number(SubscriberId(s), day(d)));
                    assert!(vault.number_of(SubscriberId(s), day(d)).unwrap().is_some());
                    if vault.number_of(SubscriberId(s), day(d)).unwrap() == Some(number(n.into())) {
                        assert_eq!(vault.is_suppressed_sub(SubscriberId(s), day(d)), self.suppressed[usize::from(n)]);
                    }
                }
            }
        }
        for &(n, id) in &self.foreign {
            assert_eq!(vault.foreign_number(kairos_model::ForeignId(id)).unwrap(), Some(number(n.into())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn what_was_acknowledged_survives_and_a_repeated_call_completes_the_rest(steps in steps(), seed: u64) {
        let disk = MemDisk::new();
        let mut vault = open(&disk).unwrap();
        let mut model = Model::default();
        for (i, step) in steps.iter().enumerate() {
            let failed = match step {
                Step::Fault(n, fault) => {
                    disk.fail_at(*n, *fault);
                    continue;
                }
                Step::Crash => true,
                step => match model.apply(&vault, step) {
                    Ok(()) => false,
                    Err(_) => true,
                },
            };
            if failed {
                disk.crash(hash::salted(seed, i as u64));
                // and once more while it recovers
                disk.fail_at(1 + seed % 5, Fault::Halt);
                drop(open(&disk));
                disk.crash(hash::salted(!seed, i as u64));
                vault = open(&disk).expect("a crash never damages what was committed");
                model.apply(&vault, step).expect("no fault is left");
                model.check(&vault);
            }
        }
        model.check(&vault);
        vault.verify().unwrap();
        drop(vault);
        disk.crash(seed);
        model.check(&open(&disk).unwrap());
    }
}

/// An opt-out whose process was killed before the sync is "known already" to the next one, which acknowledges it: so it
/// must be durable by then. (Simulation, seed 217.)
#[test]
fn a_suppression_of_a_killed_process_is_made_durable_by_the_next() {
    for seed in 0..40 {
        let disk = MemDisk::new();
        let vault = open(&disk).unwrap();
        // write, sync, write of the commit, sync of the commit: the last fails
        disk.fail_at(4, Fault::Error);
        vault.suppress(&[suppress_row(1, day(1))]).unwrap_err();
        disk.kill();
        let vault = open(&disk).unwrap();
        assert_eq!(vault.suppress(&[suppress_row(1, day(2))]).unwrap(), 0, "known already: nothing is written");
        drop(vault);
        disk.crash(seed);
        assert!(open(&disk).unwrap().is_suppressed(number(1)), "seed {seed}");
    }
}
