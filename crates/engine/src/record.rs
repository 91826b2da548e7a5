//! Journal records of the engine: what changes its state, and nothing else does.
//!
//! A kind's number and bytes never change; another shape gets another number. Golden bytes are in the tests.

use crate::{
    codec::{Parsed, Reader, Writer, malformed},
    input::PastContact,
    library::AudienceHash,
    output::Which,
    rows::{get_events, put_events},
};
use kairos_decide::{Arm, FamilyId, RunState};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, CellId, Channel, ContactId, Disposition, Event, EventType, PartyId,
    PlaybookId, Reason, ReasonSet, SnapshotId, SubscriberId, Timestamp, Verdict, WaveNo,
};

pub mod kind {
    pub const BOOK: u8 = 1;
    pub const FACTS: u8 = 2;
    pub const WAVE: u8 = 3;
    pub const RUN: u8 = 4;
    pub const KILL: u8 = 5;
    pub const OPT: u8 = 6;
    pub const WALK: u8 = 7;
    pub const OFFER: u8 = 8;
    pub const OUTCOME: u8 = 9;
    pub const CLOSE: u8 = 10;
    pub const RECOVERED: u8 = 11;
    pub const EVENT: u8 = 12;
    pub const EVENTS: u8 = 13;
    pub const FIRED: u8 = 14;
    pub const TICK: u8 = 15;
    pub const MOMENTS_END: u8 = 16;
    pub const PAST: u8 = 17;
}

#[derive(Clone, PartialEq, Debug)]
pub enum Rec {
    Book(PlaybookId),
    Facts(SnapshotId),
    Wave(WaveRec),
    Run {
        campaign: CampaignId,
        run: RunState,
    },
    Kill(bool),
    Opt {
        subscriber: SubscriberId,
        class: Option<CampaignClass>,
        out: bool,
    },
    Walk(WalkRec),
    Offer(Vec<Which>),
    Outcome(OutcomeRec),
    Close {
        campaign: CampaignId,
        wave: WaveNo,
        reason: Reason,
        cancelled: u32,
    },
    /// Offered without an outcome when the engine opened.
    Recovered(Vec<Which>),
    Event(Event),
    Events(EventsRec),
    Fired(FiredRec),
    /// Timers that are due by its stamp fire.
    Tick,
    /// Contacts that were made before this engine.
    Past(Vec<PastContact>),
    /// Waiting matches of a campaign are cancelled: it is over.
    MomentsEnd {
        campaign: CampaignId,
        reason: Reason,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaveRec {
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    pub wave: WaveNo,
    pub audience: AudienceHash,
    pub not_after: Timestamp,
    pub members: u32,
    pub order_salt: u64,
    pub class: CampaignClass,
    pub channel: Channel,
}

/// Some members judged, grants included, and the cursor behind them: one record, so both are durable together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalkRec {
    pub campaign: CampaignId,
    pub wave: WaveNo,
    pub version: CampaignVersion,
    pub book: PlaybookId,
    pub snapshot: SnapshotId,
    pub channel: Channel,
    pub family: FamilyId,
    /// Millionths a contact.
    pub cost: i64,
    pub hold: bool,
    /// Order key and subscriber of the last member that the cursor has passed: independent of ranks and partitions.
    pub cursor: Option<(u64, SubscriberId)>,
    pub items: Vec<WalkItem>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalkItem {
    pub subscriber: SubscriberId,
    pub treatment: u8,
    pub verdict: Verdict,
}

/// What an outcome does to a contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Accepted,
    Refused {
        status: u32,
    },
    Cancelled(Reason),
    /// Back in the queue, to be offered later.
    PutBack(Reason),
    /// Its reservation is released; to be judged again.
    Deferred {
        reason: Reason,
        until: Timestamp,
    },
    Unknown,
    Seen(Disposition),
    /// A receipt before any answer: proves that it was taken.
    SeenSettles(Disposition),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutcomeRec {
    pub which: Which,
    pub change: Change,
}

/// Where a batch of events came from, so that it is taken once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Mark {
    #[default]
    None,
    /// Everything of a source's partition below `to` has been taken.
    Offset { source: u32, partition: u32, to: u64 },
    /// One id an event.
    Ids(Vec<u64>),
}

/// Events in the order of their arrival.
#[derive(Clone, PartialEq, Debug)]
pub struct EventsRec {
    pub mark: Mark,
    pub events: Vec<Event>,
}

/// What became of occurrences of triggers in the records before, in one order whatever the partitions: what was asked for
/// with its grant, then first withholdings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FiredRec {
    pub book: PlaybookId,
    pub snapshot: SnapshotId,
    pub items: Vec<FiredItem>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FiredItem {
    pub stamp: Timestamp,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    /// Arrival stamp of the event that matched.
    pub occurrence: Timestamp,
    pub treatment: u8,
    pub channel: Channel,
    /// Millionths.
    pub cost: i64,
    /// It was asked for, as this arm: its reservation is in the state.
    pub asked: Option<Arm>,
    pub verdict: Verdict,
}

fn put_which(w: &mut Writer, x: &Which) {
    w.u64(x.contact.0).u32(x.subscriber.0).u32(x.campaign.0).u16(x.wave.0);
}
fn get_which(r: &mut Reader<'_>) -> Parsed<Which> {
    Ok(Which {
        contact: ContactId(r.u64()?),
        subscriber: SubscriberId(r.u32()?),
        campaign: CampaignId(r.u32()?),
        wave: WaveNo(r.u16()?),
    })
}
fn put_many(w: &mut Writer, list: &[Which]) {
    w.count(list.len());
    list.iter().for_each(|x| put_which(w, x));
}
fn get_many(r: &mut Reader<'_>) -> Parsed<Vec<Which>> {
    (0..r.count(18)?).map(|_| get_which(r)).collect()
}
/// Class codes from 1; 0 = every class.
fn get_class(code: u8) -> Option<Option<CampaignClass>> {
    if code == 0 { Some(None) } else { CampaignClass::from_code(code).map(Some) }
}
fn get_flag(code: u8) -> Option<bool> {
    [false, true].get(usize::from(code)).copied()
}

impl Rec {
    /// Kind and payload.
    #[cfg(test)]
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut w = Writer::default();
        (self.encode_into(&mut w), w.0)
    }
    /// Writes the payload behind what is there; returns the kind.
    pub fn encode_into(&self, w: &mut Writer) -> u8 {
        match self {
            Self::Book(id) => {
                w.u32(id.0);
                kind::BOOK
            }
            Self::Facts(id) => {
                w.u32(id.0);
                kind::FACTS
            }
            Self::Wave(x) => {
                w.u32(x.campaign.0).u32(x.version.0).u16(x.wave.0).bytes(&x.audience.0).at(x.not_after);
                w.u32(x.members).u64(x.order_salt).u8(x.class.code()).u8(x.channel.code());
                kind::WAVE
            }
            Self::Run { campaign, run } => {
                w.u32(campaign.0).u8(*run as u8);
                kind::RUN
            }
            Self::Kill(on) => {
                w.u8(u8::from(*on));
                kind::KILL
            }
            Self::Opt { subscriber, class, out } => {
                w.u32(subscriber.0).u8(class.map_or(0, CampaignClass::code)).u8(u8::from(*out));
                kind::OPT
            }
            Self::Walk(x) => {
                x.encode(w);
                kind::WALK
            }
            Self::Offer(list) => {
                put_many(w, list);
                kind::OFFER
            }
            Self::Outcome(x) => {
                put_which(w, &x.which);
                x.change.encode(w);
                kind::OUTCOME
            }
            Self::Close { campaign, wave, reason, cancelled } => {
                w.u32(campaign.0).u16(wave.0).u8(*reason as u8).u32(*cancelled);
                kind::CLOSE
            }
            Self::Recovered(list) => {
                put_many(w, list);
                kind::RECOVERED
            }
            Self::Event(e) => {
                w.u16(e.kind.0).u16(e.flags).u32(e.subscriber.0).u32(e.peer.0).u32(e.cell.0);
                w.at(e.at).at(e.arrived).u64(e.aux);
                kind::EVENT
            }
            Self::Events(x) => {
                put_events(w, &x.mark, &x.events);
                kind::EVENTS
            }
            Self::Fired(x) => {
                w.u32(x.book.0).u32(x.snapshot.0).count(x.items.len());
                x.items.iter().for_each(|i| i.encode(w));
                kind::FIRED
            }
            Self::Past(list) => {
                w.count(list.len());
                for c in list {
                    w.u32(c.subscriber.0).u32(c.campaign.0).u32(c.family.0).at(c.stamp);
                }
                kind::PAST
            }
            Self::Tick => kind::TICK,
            Self::MomentsEnd { campaign, reason } => {
                w.u32(campaign.0).u8(*reason as u8);
                kind::MOMENTS_END
            }
        }
    }

    pub fn decode(kind: u8, payload: &[u8]) -> Parsed<Self> {
        let mut r = Reader::new(payload);
        let rec = match kind {
            kind::BOOK => Self::Book(PlaybookId(r.u32()?)),
            kind::FACTS => Self::Facts(SnapshotId(r.u32()?)),
            kind::WAVE => Self::Wave(WaveRec {
                campaign: CampaignId(r.u32()?),
                version: CampaignVersion(r.u32()?),
                wave: WaveNo(r.u16()?),
                audience: AudienceHash(r.hash()?),
                not_after: r.at()?,
                members: r.u32()?,
                order_salt: r.u64()?,
                class: r.coded("campaign class", CampaignClass::from_code)?,
                channel: r.coded("channel", Channel::from_code)?,
            }),
            kind::RUN => Self::Run { campaign: CampaignId(r.u32()?), run: r.coded("run state", RunState::from_code)? },
            kind::KILL => Self::Kill(r.coded("flag", get_flag)?),
            kind::OPT => Self::Opt {
                subscriber: SubscriberId(r.u32()?),
                class: r.coded("campaign class", get_class)?,
                out: r.coded("flag", get_flag)?,
            },
            kind::WALK => Self::Walk(WalkRec::decode(&mut r)?),
            kind::OFFER => Self::Offer(get_many(&mut r)?),
            kind::OUTCOME => Self::Outcome(OutcomeRec { which: get_which(&mut r)?, change: Change::decode(&mut r)? }),
            kind::CLOSE => Self::Close {
                campaign: CampaignId(r.u32()?),
                wave: WaveNo(r.u16()?),
                reason: r.coded("reason", Reason::from_code)?,
                cancelled: r.u32()?,
            },
            kind::RECOVERED => Self::Recovered(get_many(&mut r)?),
            kind::EVENT => Self::Event(Event {
                kind: EventType(r.u16()?),
                flags: r.u16()?,
                subscriber: SubscriberId(r.u32()?),
                peer: PartyId(r.u32()?),
                cell: CellId(r.u32()?),
                at: r.at()?,
                arrived: r.at()?,
                aux: r.u64()?,
            }),
            kind::EVENTS => {
                let mut events = Vec::new();
                let mark = get_events(&mut r, &mut events)?;
                Self::Events(EventsRec { mark, events })
            }
            kind::FIRED => Self::Fired(FiredRec {
                book: PlaybookId(r.u32()?),
                snapshot: SnapshotId(r.u32()?),
                items: (0..r.count(40)?).map(|_| FiredItem::decode(&mut r)).collect::<Parsed<_>>()?,
            }),
            kind::PAST => Self::Past(
                (0..r.count(20)?)
                    .map(|_| {
                        Ok(PastContact {
                            subscriber: SubscriberId(r.u32()?),
                            campaign: CampaignId(r.u32()?),
                            family: FamilyId(r.u32()?),
                            stamp: r.at()?,
                        })
                    })
                    .collect::<Parsed<_>>()?,
            ),
            kind::TICK => Self::Tick,
            kind::MOMENTS_END => {
                Self::MomentsEnd { campaign: CampaignId(r.u32()?), reason: r.coded("reason", Reason::from_code)? }
            }
            other => return malformed(format!("record kind {other} is not known")),
        };
        r.end()?;
        Ok(rec)
    }
}

impl WalkRec {
    fn encode(&self, w: &mut Writer) {
        w.u32(self.campaign.0).u16(self.wave.0).u32(self.version.0).u32(self.book.0).u32(self.snapshot.0);
        w.u8(self.channel.code()).u32(self.family.0).i64(self.cost).u8(u8::from(self.hold));
        match self.cursor {
            Some((key, subscriber)) => w.u8(1).u64(key).u32(subscriber.0),
            None => w.u8(0),
        };
        w.count(self.items.len());
        for item in &self.items {
            w.u32(item.subscriber.0).u8(item.treatment);
            put_verdict(w, &item.verdict);
        }
    }
    fn decode(r: &mut Reader<'_>) -> Parsed<Self> {
        Ok(Self {
            campaign: CampaignId(r.u32()?),
            wave: WaveNo(r.u16()?),
            version: CampaignVersion(r.u32()?),
            book: PlaybookId(r.u32()?),
            snapshot: SnapshotId(r.u32()?),
            channel: r.coded("channel", Channel::from_code)?,
            family: FamilyId(r.u32()?),
            cost: r.i64()?,
            hold: r.coded("flag", get_flag)?,
            cursor: match r.coded("flag", get_flag)? {
                true => Some((r.u64()?, SubscriberId(r.u32()?))),
                false => None,
            },
            items: (0..r.count(6)?).map(|_| WalkItem::decode(r)).collect::<Parsed<_>>()?,
        })
    }
}

fn put_verdict(w: &mut Writer, verdict: &Verdict) {
    w.u8(verdict.code());
    match *verdict {
        Verdict::Send | Verdict::Control | Verdict::Holdout => {}
        Verdict::Defer { until, primary, all } => {
            w.u8(primary as u8).u32(all.0).at(until);
        }
        Verdict::Withheld { primary, all, by } => {
            w.u8(primary as u8).u32(all.0).u32(by.map_or(0, |c| c.0));
        }
    }
}
fn get_verdict(r: &mut Reader<'_>) -> Parsed<Verdict> {
    Ok(match r.u8()? {
        1 => Verdict::Send,
        2 => Verdict::Control,
        3 => Verdict::Holdout,
        code @ (4 | 5) => {
            let (primary, all) = (r.coded("reason", Reason::from_code)?, ReasonSet(r.u32()?));
            if code == 4 {
                Verdict::Defer { until: r.at()?, primary, all }
            } else {
                let by = Some(r.u32()?).filter(|&c| c > 0).map(CampaignId);
                Verdict::Withheld { primary, all, by }
            }
        }
        other => return malformed(format!("{other} is no verdict")),
    })
}

impl WalkItem {
    fn decode(r: &mut Reader<'_>) -> Parsed<Self> {
        Ok(Self { subscriber: SubscriberId(r.u32()?), treatment: r.u8()?, verdict: get_verdict(r)? })
    }
}

impl FiredItem {
    pub const fn contact(&self) -> ContactId {
        ContactId::of_occurrence(self.campaign, self.occurrence.0 as u64, self.subscriber)
    }
    fn encode(&self, w: &mut Writer) {
        w.at(self.stamp).u32(self.subscriber.0).u32(self.campaign.0).u32(self.version.0).at(self.occurrence);
        w.u8(self.treatment).u8(self.channel.code()).i64(self.cost);
        w.u8(match self.asked {
            None => 0,
            Some(Arm::Send) => 1,
            Some(Arm::Control) => 2,
            Some(Arm::Holdout) => 3,
        });
        put_verdict(w, &self.verdict);
    }
    fn decode(r: &mut Reader<'_>) -> Parsed<Self> {
        Ok(Self {
            stamp: r.at()?,
            subscriber: SubscriberId(r.u32()?),
            campaign: CampaignId(r.u32()?),
            version: CampaignVersion(r.u32()?),
            occurrence: r.at()?,
            treatment: r.u8()?,
            channel: r.coded("channel", Channel::from_code)?,
            cost: r.i64()?,
            asked: r.coded("arm", |code| {
                [None, Some(Arm::Send), Some(Arm::Control), Some(Arm::Holdout)].get(usize::from(code)).copied()
            })?,
            verdict: get_verdict(r)?,
        })
    }
}

impl Change {
    fn encode(&self, w: &mut Writer) {
        match *self {
            Self::Accepted => w.u8(1),
            Self::Refused { status } => w.u8(2).u32(status),
            Self::Cancelled(reason) => w.u8(3).u8(reason as u8),
            Self::PutBack(reason) => w.u8(4).u8(reason as u8),
            Self::Deferred { reason, until } => w.u8(5).u8(reason as u8).at(until),
            Self::Unknown => w.u8(6),
            Self::Seen(d) => w.u8(7).u8(d.code()),
            Self::SeenSettles(d) => w.u8(8).u8(d.code()),
        };
    }
    fn decode(r: &mut Reader<'_>) -> Parsed<Self> {
        Ok(match r.u8()? {
            1 => Self::Accepted,
            2 => Self::Refused { status: r.u32()? },
            3 => Self::Cancelled(r.coded("reason", Reason::from_code)?),
            4 => Self::PutBack(r.coded("reason", Reason::from_code)?),
            5 => Self::Deferred { reason: r.coded("reason", Reason::from_code)?, until: r.at()? },
            6 => Self::Unknown,
            7 => Self::Seen(r.coded("disposition", Disposition::from_code)?),
            8 => Self::SeenSettles(r.coded("disposition", Disposition::from_code)?),
            other => return malformed(format!("{other} is no change of a contact")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn which() -> Which {
        Which {
            contact: ContactId(0x1122_3344_5566_7788),
            subscriber: SubscriberId(7),
            campaign: CampaignId(3),
            wave: WaveNo(2),
        }
    }

    fn one_of_each() -> Vec<Rec> {
        let item = |s, verdict| WalkItem { subscriber: SubscriberId(s), treatment: 1, verdict };
        let all = ReasonSet::EMPTY.with(Reason::Suppressed).with(Reason::OtherCampaign);
        let walk = WalkRec {
            campaign: CampaignId(3),
            wave: WaveNo(2),
            version: CampaignVersion(4),
            book: PlaybookId(5),
            snapshot: SnapshotId(6),
            channel: Channel::Sms,
            family: FamilyId(8),
            cost: 50_000,
            hold: true,
            cursor: Some((0xaabb, SubscriberId(12))),
            items: vec![
                item(9, Verdict::Send),
                item(10, Verdict::Control),
                item(11, Verdict::Holdout),
                item(12, Verdict::Defer { until: Timestamp(99), primary: Reason::QuietHours, all }),
                item(13, Verdict::Withheld { primary: Reason::OtherCampaign, all, by: Some(CampaignId(2)) }),
                item(14, Verdict::Withheld { primary: Reason::Suppressed, all, by: None }),
            ],
        };
        let change = |change| Rec::Outcome(OutcomeRec { which: which(), change });
        vec![
            Rec::Book(PlaybookId(5)),
            Rec::Facts(SnapshotId(6)),
            Rec::Wave(WaveRec {
                campaign: CampaignId(3),
                version: CampaignVersion(4),
                wave: WaveNo(2),
                audience: AudienceHash([0xab; 32]),
                not_after: Timestamp(-2),
                members: 40,
                order_salt: 0x0102_0304,
                class: CampaignClass::Care,
                channel: Channel::Mms,
            }),
            Rec::Run { campaign: CampaignId(3), run: RunState::Paused },
            Rec::Kill(true),
            Rec::Opt { subscriber: SubscriberId(7), class: Some(CampaignClass::Marketing), out: true },
            Rec::Opt { subscriber: SubscriberId(7), class: None, out: false },
            Rec::Walk(WalkRec { cursor: None, items: Vec::new(), ..walk.clone() }),
            Rec::Walk(walk),
            Rec::Offer(vec![which(), which()]),
            change(Change::Accepted),
            change(Change::Refused { status: 88 }),
            change(Change::Cancelled(Reason::NoConsent)),
            change(Change::PutBack(Reason::Paused)),
            change(Change::Deferred { reason: Reason::Holiday, until: Timestamp(1 << 40) }),
            change(Change::Unknown),
            change(Change::Seen(Disposition::Replied)),
            change(Change::SeenSettles(Disposition::Delivered)),
            Rec::Close { campaign: CampaignId(3), wave: WaveNo(2), reason: Reason::Ended, cancelled: 17 },
            Rec::Recovered(vec![which()]),
            Rec::Event(Event {
                kind: EventType::CALL_ENDED,
                flags: 1,
                subscriber: SubscriberId(7),
                peer: PartyId(8),
                cell: CellId(70_000),
                at: Timestamp(1),
                arrived: Timestamp(2),
                aux: 285,
            }),
            Rec::Events(EventsRec {
                mark: Mark::Offset { source: 3, partition: 1, to: 99 },
                events: vec![event(1 << 40, 1 << 40), event((1 << 40) + 7, (1 << 40) - 60_000_000)],
            }),
            // a batch over more than an hour, with an event hours late, takes wider rows
            Rec::Events(EventsRec { mark: Mark::Ids(vec![5, 6]), events: vec![event(9, 9), event(1 << 33, 8)] }),
            Rec::Fired(FiredRec {
                book: PlaybookId(5),
                snapshot: SnapshotId(6),
                items: vec![
                    fired(Some(Arm::Send), Verdict::Send),
                    fired(Some(Arm::Holdout), Verdict::Holdout),
                    fired(Some(Arm::Send), Verdict::Withheld { primary: Reason::Budget, all, by: None }),
                    fired(None, Verdict::Withheld { primary: Reason::LeftArea, all, by: Some(CampaignId(2)) }),
                ],
            }),
            Rec::Past(vec![PastContact {
                subscriber: SubscriberId(7),
                campaign: CampaignId(3),
                family: FamilyId(8),
                stamp: Timestamp(-5),
            }]),
            Rec::Tick,
            Rec::MomentsEnd { campaign: CampaignId(3), reason: Reason::Stopped },
        ]
    }

    fn event(arrived: i64, at: i64) -> Event {
        Event {
            kind: EventType::MOVED,
            flags: 2,
            subscriber: SubscriberId(7),
            peer: PartyId::NONE,
            cell: CellId(70_000),
            at: Timestamp(at),
            arrived: Timestamp(arrived),
            aux: 1 << 40,
        }
    }
    fn fired(asked: Option<Arm>, verdict: Verdict) -> FiredItem {
        FiredItem {
            stamp: Timestamp(1 << 40),
            subscriber: SubscriberId(7),
            campaign: CampaignId(3),
            version: CampaignVersion(4),
            occurrence: Timestamp((1 << 40) - 5),
            treatment: 1,
            channel: Channel::Sms,
            cost: 50_000,
            asked,
            verdict,
        }
    }

    /// These bytes are on disks: a change here is a new kind, never an edit.
    #[test]
    fn the_bytes_of_each_kind_are_for_ever() {
        let lines: Vec<String> = one_of_each()
            .iter()
            .map(|rec| {
                let (kind, bytes) = rec.encode();
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                format!("{kind} {hex}")
            })
            .collect();
        expect![[r#"
            1 05000000
            2 06000000
            3 03000000040000000200ababababababababababababababababababababababababababababababababfeffffffffffffff2800000004030201000000000202
            4 0300000002
            5 01
            6 070000000101
            6 070000000000
            7 030000000200040000000500000006000000010800000050c3000000000000010000000000
            7 030000000200040000000500000006000000010800000050c30000000000000101bbaa0000000000000c000000060000000900000001010a00000001020b00000001030c00000001040a8400000063000000000000000d00000001050784000000020000000e0000000105028400000000000000
            8 02000000887766554433221107000000030000000200887766554433221107000000030000000200
            9 88776655443322110700000003000000020001
            9 8877665544332211070000000300000002000258000000
            9 8877665544332211070000000300000002000304
            9 8877665544332211070000000300000002000410
            9 887766554433221107000000030000000200050b0000000000010000
            9 88776655443322110700000003000000020006
            9 8877665544332211070000000300000002000705
            9 8877665544332211070000000300000002000802
            10 0300000002000511000000
            11 01000000887766554433221107000000030000000200
            12 03000100070000000800000070110100010000000000000002000000000000001d01000000000000
            13 0001030000000100000063000000000000000000000000010000020000000500020007000000ffffffff70110100000000000000000000000000000100000500020007000000ffffffff7011010007000000078793030000000000010000
            13 010202000000050000000000000006000000000000000900000000000000020000000500020007000000ffffffff701101000900000000000000090000000000000000000000000100000500020007000000ffffffff70110100000000000200000008000000000000000000000000010000
            14 0500000006000000040000000000000000010000070000000300000004000000fbffffffff000000010150c300000000000001010000000000010000070000000300000004000000fbffffffff000000010150c300000000000003030000000000010000070000000300000004000000fbffffffff000000010150c300000000000001050e84000000000000000000000000010000070000000300000004000000fbffffffff000000010150c30000000000000005168400000002000000
            17 01000000070000000300000008000000fbffffffffffffff
            15 
            16 0300000011"#]].assert_eq(&lines.join("\n"));
    }

    #[test]
    fn records_come_back_and_damaged_ones_are_refused() {
        for rec in one_of_each() {
            let (kind, bytes) = rec.encode();
            assert_eq!(Rec::decode(kind, &bytes).unwrap(), rec);
            for len in 0..bytes.len() {
                assert!(Rec::decode(kind, &bytes[..len]).is_err(), "{rec:?} cut to {len}");
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(Rec::decode(kind, &longer).is_err());
            // rubbish does not panic, nor reserve what it claims
            for i in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[i] = 0xff;
                drop(Rec::decode(kind, &bad));
            }
        }
        assert_eq!(Rec::decode(200, &[]), malformed("record kind 200 is not known"));
    }
}
