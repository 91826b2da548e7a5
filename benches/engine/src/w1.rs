//! The workload W1: every number follows from integers by hashes, so that each entrant makes the same world.
//! Times are milliseconds; the definition is `w1.md` of the benchmark, its reference `w1_oracle.py`.

pub const CAMPAIGNS: usize = 200;
pub const CELLS: u64 = 20_000;
pub const BLOCK: u64 = 16;
pub const DAY: u64 = 86_400_000;
pub const TICK: u64 = 100;
/// 2026-03-10, 10:00 in the fixed zone.
pub const T0: u64 = 1_773_108_000_000;
pub const SPAN: u64 = 14_400_000;
pub const T_END: u64 = T0 + SPAN + 60_000;

/// Named streams of the hash.
#[derive(Clone, Copy)]
#[repr(u64)]
pub enum Stream {
    Ev1 = 1,
    Ev2 = 2,
    Home = 3,
    Work = 4,
    Tags = 5,
    Supp = 6,
    NCont = 7,
    Cont = 8,
    Camp = 9,
    Area = 10,
    Own = 11,
    Peer = 12,
    Ctrl = 13,
    Active = 14,
}

pub use kairos_model::hash::mix;

#[derive(Clone, Copy)]
pub struct H([u64; 16]);

impl H {
    pub fn new(seed: u64) -> Self {
        Self(std::array::from_fn(|k| mix((256 * seed).wrapping_add(k as u64))))
    }
    #[inline]
    pub fn at(&self, k: Stream, x: u64) -> u64 {
        mix(self.0[k as usize].wrapping_add(x))
    }
    #[inline]
    pub fn two(&self, k: Stream, a: u64, b: u64) -> u64 {
        self.at(k, (a << 32).wrapping_add(b))
    }
}

/// Subscribers, events and seed.
#[derive(Clone, Copy)]
pub struct World {
    pub h: H,
    pub subs: u64,
    pub events: u64,
    pub seed: u64,
}

/// Spend (`None`: unknown), plan, roaming.
#[derive(Clone, Copy)]
pub struct Tags {
    pub spend: Option<u64>,
    pub plan: u64,
    pub roam: bool,
}

pub struct Event {
    pub ms: u64,
    pub sub: u64,
    /// 0 call ended, 1 call started, 2 long-distance call in, 3 SMS, 4 moved, 5 data, 6 power on, 7 power off.
    pub kind: usize,
    pub cell: u64,
    pub peer: Option<u64>,
    pub duration: u64,
}

impl World {
    pub fn new(subs: u64, events: u64, seed: u64) -> Result<Self, String> {
        if !events.is_multiple_of(48) || !subs.is_multiple_of(32) || subs == 0 || subs > 1 << 29 {
            return Err(format!("{subs} subscribers and {events} events: multiples of 32 and 48 are wanted"));
        }
        Ok(Self { h: H::new(seed), subs, events, seed })
    }
    pub fn home(&self, s: u64) -> u64 {
        self.h.at(Stream::Home, s) % CELLS
    }
    pub fn tags(&self, s: u64) -> Tags {
        let g = self.h.at(Stream::Tags, s);
        let x = g & 0xffff;
        let spend = (!(g >> 32).is_multiple_of(32)).then_some((x * x * 1000) >> 32);
        Tags { spend, plan: ((g >> 16) & 7).min((g >> 19) & 7), roam: (g >> 24).is_multiple_of(8) }
    }
    pub fn suppressed(&self, s: u64) -> bool {
        self.h.at(Stream::Supp, s) % 100 < 2
    }
    /// (ms, campaign), by time.
    pub fn first_contacts(&self, s: u64) -> Vec<(u64, u64)> {
        let mut out: Vec<(u64, u64)> = (0..self.h.at(Stream::NCont, s) % 5)
            .map(|j| {
                let g = self.h.at(Stream::Cont, 8 * s + j);
                let x = (g >> 1) & 0x7fff;
                let c = if g & 1 == 1 { 28 * (x % 7) + 16 + x / 7 % 4 } else { x % CAMPAIGNS as u64 };
                (T0 - TICK * (1 + (g >> 24) % (40 * DAY / TICK)), c)
            })
            .collect();
        out.sort_unstable();
        out
    }
    fn who(&self, i: u64) -> u64 {
        let x = self.h.at(Stream::Ev1, i) >> 32;
        if self.h.at(Stream::Ev2, i) >> 31 & 1 == 0 {
            return x % self.subs;
        }
        self.h.two(Stream::Active, 8 * i / self.events, x % (self.subs / 32)) % self.subs
    }
    pub fn event(&self, i: u64) -> Event {
        let (g, f) = (self.h.at(Stream::Ev1, i), self.h.at(Stream::Ev2, i));
        let back = match f >> 26 & 31 {
            0 => self.events / 48,
            1 => self.events / 12,
            _ => 0,
        };
        let sub = self.who(if i >= back { i - back } else { i });
        let u = (g >> 16) & 0xffff;
        let kind = kind_of((g & 0xffff) % 100);
        let cell = match f & 7 {
            0..=3 => self.home(sub),
            4 | 5 => self.h.at(Stream::Work, sub) % CELLS,
            6 => (self.home(sub) + 1 + ((f >> 3) & 15)) % CELLS,
            _ => ((f >> 8) & 0xff_ffff) % CELLS,
        };
        Event {
            ms: T0 + TICK * (i * (SPAN / TICK) / self.events),
            sub,
            kind,
            cell,
            peer: (kind < 4).then_some((f >> 32) % (2 * self.subs)),
            duration: (u * u) >> 20,
        }
    }
    pub fn is_control(&self, c: u64, s: u64) -> bool {
        self.h.two(Stream::Ctrl, c, s) % 100 < 5
    }
    pub fn campaign(&self, c: usize) -> Campaign {
        Campaign::new(&self.h, c as u64)
    }
}

const fn kind_of(r: u64) -> usize {
    const TOPS: [u64; 8] = [25, 40, 45, 60, 80, 90, 95, 100];
    let mut k = 0;
    while r >= TOPS[k] {
        k += 1;
    }
    k
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Immediate,
    Wait,
    Dwell,
}

impl Action {
    pub const fn delay_ms(self) -> u64 {
        match self {
            Self::Immediate => 0,
            Self::Wait => 300_000,
            Self::Dwell => 1_200_000,
        }
    }
}

/// One campaign's definition.
#[derive(Clone)]
pub struct Campaign {
    pub id: u64,
    pub priority: u64,
    pub trigger: usize,
    pub action: Action,
    pub wide: bool,
    /// Share of 16-cell blocks in the area, of 1,000.
    pub dense: u64,
    pub window_from: u64,
    pub window_len: u64,
    pub own_share: u64,
    pub own_deny: bool,
    pub has_peer: bool,
    pub peer_share: u64,
    pub peer_deny: bool,
    pub duration_over: i64,
    form: u64,
    spend_from: u64,
    spend_width: u64,
    plans: u64,
}

impl Campaign {
    fn new(h: &H, c: u64) -> Self {
        let p = |j: u64| h.at(Stream::Camp, 16 * c + j);
        let q = |j: u64| h.at(Stream::Camp, 16 * (c - c % 8) + j);
        let trigger = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7][(c % 20) as usize];
        let large = 29_491 + p(4) % 6_554;
        Self {
            id: c,
            priority: (77 * c + 13) % CAMPAIGNS as u64,
            trigger,
            action: match (3 * c + c / 4) % 10 {
                0..=2 => Action::Immediate,
                3..=6 => Action::Wait,
                _ => Action::Dwell,
            },
            wide: c / 4 % 7 == 4,
            dense: [10, 20, 40, 80][(p(1) % 4) as usize],
            window_from: 60_000 * (p(2) % 1440),
            window_len: 60_000 * (240 + p(3) % 961),
            own_share: [large, large, 6_554, 655][(c % 4) as usize],
            own_deny: c % 16 == 6,
            has_peer: trigger <= 3 && !c.is_multiple_of(6),
            peer_share: [32_768, 6_554, 1_311][(p(5) % 3) as usize],
            peer_deny: c % 5 == 2,
            duration_over: if p(6).is_multiple_of(2) { -1 } else { 64 + (p(7) % 1_536) as i64 },
            form: q(8) % 4,
            spend_from: 550 + q(9) % 430,
            spend_width: 20 + q(10) % 100,
            plans: (q(11) & q(12) & 255) | 1 << (q(13) % 8),
        }
    }
    pub fn in_area(&self, h: &H, cell: u64) -> bool {
        self.wide || h.two(Stream::Area, self.id, cell / BLOCK) % 1000 < self.dense
    }
    pub fn own_lets(&self, h: &H, s: u64) -> bool {
        (h.two(Stream::Own, self.id, s) >> 48 < self.own_share) != self.own_deny
    }
    pub fn peer_lets(&self, h: &H, party: u64) -> bool {
        !self.has_peer || (h.two(Stream::Peer, self.id, party) >> 48 < self.peer_share) != self.peer_deny
    }
    /// The tag condition, of three values: whether it is true.
    pub fn condition(&self, t: &Tags) -> bool {
        let at_least = t.spend.map(|x| x >= self.spend_from);
        let in_plans = self.plans >> t.plan & 1 == 1;
        match self.form {
            0 => in_plans && at_least == Some(true),
            1 => in_plans && (t.roam || at_least == Some(true)),
            2 => {
                let below = t.spend.map(|x| x < self.spend_from + self.spend_width);
                at_least == Some(true) && below == Some(true) && !t.roam
            }
            _ => in_plans && t.roam,
        }
    }
}
