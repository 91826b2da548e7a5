//! Ids are types.

use crate::hash;
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty), $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
    };
}

id!(
    /// The dense ordinal that stands for (tenant, source key) in one data directory. Never reused.
    SubscriberId(u32), "s"
);
id!(
    /// A number that is nobody's we know: competitors' customers, fixed lines. Dense, never reused.
    ForeignId(u32), "f"
);
id!(
    /// A short code such as 10086 or 1069…: the code's place in the tenant's number plan.
    ShortCode(u32), "#"
);
id!(
    /// A campaign, numbered by the catalog from 1. Never reused.
    CampaignId(u32), "c"
);
id!(
    /// An edit of a campaign, from 1.
    CampaignVersion(u32), "v"
);
id!(
    /// A wave of a campaign, from 1.
    WaveNo(u16), "w"
);
id!(
    /// An offer (产品/营销案), numbered by the catalog.
    OfferId(u32), "o"
);
id!(
    /// A console operator; never a subscriber.
    UserId(u32), "u"
);
id!(
    /// A cell or base station in the tenant's cell register. 32 bits: an operator has more than 65,536.
    CellId(u32), "cell"
);
id!(
    /// A tag snapshot, numbered by the lake.
    SnapshotId(u32), "snap"
);
id!(
    /// A compiled playbook, numbered by the engine.
    PlaybookId(u32), "book"
);
id!(
    /// A source of events: a folder, a stream or the door for HTTP; numbered by configuration, never reused. With
    /// (partition, offset) it tells one event from another.
    SourceId(u16), "src"
);
id!(
    /// One tenant = one data directory = one process.
    TenantId(u16), "t"
);
id!(
    /// One of 256 fixed shards of the subscribers; partitions own shards.
    Shard(u8), "shard"
);

impl WaveNo {
    /// Stands for "no wave": a trigger's decision or contact. Waves are numbered from 1.
    pub const MOMENT: Self = Self(0);
}

impl CellId {
    /// Not known; an event that says nothing of a place. A register numbers its cells from 1.
    pub const NONE: Self = Self(0);
    /// A place outside every known cell, e.g. after leaving an area that only a circle describes. In no area.
    pub const ELSEWHERE: Self = Self(u32::MAX);
}

impl SubscriberId {
    /// `hash(SubscriberId)` as a shard; fixed for ever, whatever the number of partitions.
    pub const fn shard(self) -> Shard {
        Shard((hash::salted(0x5348_4152_4400_0001, self.0 as u64) >> 56) as u8)
    }
}

/// One attempt to reach one subscriber: `hash(campaign, wave or trigger occurrence, subscriber)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ContactId(pub u64);

impl ContactId {
    /// The contact of a wave's member.
    pub const fn of_wave(campaign: CampaignId, wave: WaveNo, subscriber: SubscriberId) -> Self {
        Self::of(campaign, wave.0 as u64, subscriber)
    }
    /// The contact of a trigger's occurrence; `occurrence` is the arrival stamp of the event that matched.
    pub const fn of_occurrence(campaign: CampaignId, occurrence: u64, subscriber: SubscriberId) -> Self {
        Self::of(campaign, occurrence | 1 << 63, subscriber)
    }
    const fn of(campaign: CampaignId, which: u64, subscriber: SubscriberId) -> Self {
        Self(hash::salted2(0x434f_4e54_4143_5401, (campaign.0 as u64) << 32 | subscriber.0 as u64, which))
    }
}
impl fmt::Debug for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{:016x}", self.0)
    }
}
impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{:016x}", self.0)
    }
}
impl std::str::FromStr for ContactId {
    type Err = std::num::ParseIntError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(s.strip_prefix('k').unwrap_or(s), 16).map(Self)
    }
}

/// The other side of a call or message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Party {
    Subscriber(SubscriberId),
    Foreign(ForeignId),
    Short(ShortCode),
}

/// A [`Party`] in 32 bits: below 2^31 a subscriber, below 3·2^30 a foreign number, above a short code; all ones = none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(pub u32);

impl PartyId {
    pub const NONE: Self = Self(u32::MAX);
    /// Highest subscriber ordinal that fits: 2^31 − 1.
    pub const SUBSCRIBERS_MAX: u32 = 1 << 31;
    const FOREIGN: u32 = 1 << 31;
    const SHORT: u32 = 3 << 30;

    /// `None` for [`PartyId::NONE`].
    pub const fn party(self) -> Option<Party> {
        match self.0 {
            u32::MAX => None,
            x if x >= Self::SHORT => Some(Party::Short(ShortCode(x - Self::SHORT))),
            x if x >= Self::FOREIGN => Some(Party::Foreign(ForeignId(x - Self::FOREIGN))),
            x => Some(Party::Subscriber(SubscriberId(x))),
        }
    }
}
impl From<Party> for PartyId {
    /// Panics only past 2^31 subscribers, 2^30 foreign numbers or 2^30 short codes; the doors refuse those first.
    fn from(p: Party) -> Self {
        match p {
            Party::Subscriber(SubscriberId(x)) => {
                assert!(x < Self::FOREIGN, "subscriber ordinal past 2^31");
                Self(x)
            }
            Party::Foreign(ForeignId(x)) => {
                assert!(x < Self::SHORT - Self::FOREIGN, "foreign ordinal past 2^30");
                Self(x + Self::FOREIGN)
            }
            Party::Short(ShortCode(x)) => {
                assert!(x < u32::MAX - Self::SHORT, "short code ordinal past 2^30");
                Self(x + Self::SHORT)
            }
        }
    }
}
impl From<SubscriberId> for PartyId {
    fn from(s: SubscriberId) -> Self {
        Party::Subscriber(s).into()
    }
}
impl fmt::Debug for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.party() {
            None => f.write_str("none"),
            Some(Party::Subscriber(x)) => x.fmt(f),
            Some(Party::Foreign(x)) => x.fmt(f),
            Some(Party::Short(x)) => x.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_survives_its_32_bits() {
        for p in [
            Party::Subscriber(SubscriberId(0)),
            Party::Subscriber(SubscriberId(PartyId::SUBSCRIBERS_MAX - 1)),
            Party::Foreign(ForeignId(0)),
            Party::Foreign(ForeignId((1 << 30) - 1)),
            Party::Short(ShortCode(0)),
            Party::Short(ShortCode((1 << 30) - 2)),
        ] {
            assert_eq!(PartyId::from(p).party(), Some(p));
        }
        assert_eq!(PartyId::NONE.party(), None);
    }

    #[test]
    fn shards_are_even() {
        let mut n = [0u32; 256];
        (0..256_000).for_each(|s| n[SubscriberId(s).shard().0 as usize] += 1);
        assert!(n.iter().all(|&x| (850..1150).contains(&x)), "{n:?}");
    }

    #[test]
    fn contact_ids_print_and_parse() {
        let k = ContactId::of_wave(CampaignId(3), WaveNo(1), SubscriberId(9));
        assert_eq!(k.to_string().parse(), Ok(k));
        assert_ne!(k, ContactId::of_wave(CampaignId(3), WaveNo(2), SubscriberId(9)));
    }
}
