//! W1's campaigns as the engine gets them: a playbook of definitions, and a snapshot of facts with its static bits.

use crate::w1::{Action, CAMPAIGNS, CELLS, Campaign, DAY, World};
use kairos_decide::{
    CellSet, Cmp, Consent, ContactPolicy, Facts, FamilyId, Field, Filter, Layout, Listed, Matrix, MinuteRange,
    Playbook, QuietHours, Rows, RunState, Share, TenantPolicy, Test, Then, Trigger, UnknownConsent,
};
use kairos_engine::{AudienceHash, Library, LibraryError, advise_huge};
use kairos_model::{
    CampaignClass, CampaignId, CampaignVersion, CellId, Channel, Currency, EventType, ForeignId, Money, Party, PartyId,
    PlaybookId, SnapshotId, Span, SubscriberId, Timestamp, Zone,
};
use roaring::RoaringBitmap;
use std::sync::Arc;

pub const BOOK: PlaybookId = PlaybookId(1);
pub const SNAPSHOT: SnapshotId = SnapshotId(1);

const KINDS: [EventType; 8] = [
    EventType::CALL_ENDED,
    EventType::CALL_STARTED,
    EventType::LONG_DISTANCE_IN,
    EventType::MESSAGE_SENT,
    EventType::MOVED,
    EventType::DATA_SESSION,
    EventType::POWER_ON,
    EventType::POWER_OFF,
];

/// Campaigns, cells and ordinals of the engine begin at 1 where 0 means none.
pub const fn campaign_id(c: u64) -> CampaignId {
    CampaignId(c as u32 + 1)
}
pub const fn cell_id(cell: u64) -> CellId {
    CellId(cell as u32 + 1)
}
pub const fn stamp(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms as i64)
}

/// Parties below the number of subscribers are subscribers, the others foreign numbers.
fn party(w: &World, p: u64) -> PartyId {
    if p < w.subs {
        Party::Subscriber(SubscriberId(p as u32)).into()
    } else {
        Party::Foreign(ForeignId((p - w.subs) as u32)).into()
    }
}

pub fn event(w: &World, i: u64) -> kairos_model::Event {
    let e = w.event(i);
    kairos_model::Event {
        kind: KINDS[e.kind],
        flags: 0,
        subscriber: SubscriberId(e.sub as u32),
        peer: e.peer.map_or(PartyId::NONE, |p| party(w, p)),
        cell: cell_id(e.cell),
        at: stamp(e.ms),
        arrived: stamp(e.ms),
        aux: e.duration,
    }
}

/// How a definition becomes a campaign of the playbook. `spread`: as many copies of each that ask for no subscriber.
fn compiled(w: &World, c: &Campaign) -> kairos_decide::Campaign {
    let area = (!c.wide).then(|| {
        let cells = (0..CELLS).filter(|&k| c.in_area(&w.h, k));
        Arc::new(CellSet::new(cells.map(cell_id)))
    });
    let tests = if c.duration_over < 0 {
        Vec::new()
    } else {
        vec![Test { field: Field::LOW, cmp: Cmp::More, value: c.duration_over }]
    };
    let (from, len) = (c.window_from / 60_000, c.window_len / 60_000);
    let window = vec![MinuteRange { from: from as u16, to: ((from + len) % (DAY / 60_000)) as u16 }];
    let delay = Span::millis(c.action.delay_ms() as i64);
    let trigger = Trigger {
        on: Filter { tests, area, ..Filter::of(KINDS[c.trigger]) },
        window,
        peer: c.has_peer,
        then: match c.action {
            Action::Immediate => Then::Now,
            Action::Wait => Then::Wait { delay, powered_on: true },
            Action::Dwell => Then::Dwell { delay, powered_on: true },
        },
        ..Trigger::on(KINDS[c.trigger])
    };
    kairos_decide::Campaign {
        id: campaign_id(c.id),
        version: CampaignVersion(1),
        class: CampaignClass::Marketing,
        priority: c.priority as u32,
        family: FamilyId(c.id as u32 + 1),
        channel: Channel::Sms,
        treatments: 1,
        hold: false,
        // the control groups of W1 are lists
        control: Share::NONE,
        holdout: None,
        start: Timestamp::from_secs(0),
        end: Timestamp::MAX,
        cost: Money::micros(0, Currency::CNY),
        budget: None,
        policy: ContactPolicy {
            same_message: Span::days(30),
            other_campaign: Span::days(7),
            quiet: QuietHours::none(),
            holidays: false,
            do_not_disturb: true,
            unknown_consent: UnknownConsent::Deny,
        },
        run: RunState::Running,
        trigger: Some(Arc::new(trigger)),
    }
}

pub fn playbook(w: &World, campaigns: &[Campaign]) -> Playbook {
    // a fixed zone by its name: eight hours east of UTC
    let zone = Zone::named("Etc/GMT-8").unwrap_or_else(|e| unreachable!("{e}"));
    let all = campaigns.iter().map(|c| compiled(w, c)).collect();
    Playbook::new(BOOK, TenantPolicy::new(zone), all).unwrap_or_else(|e| unreachable!("{e}"))
}

/// Everything that is known beforehand: static bits, suppression, control groups.
pub struct Snapshot {
    world: World,
    matrix: Arc<Matrix>,
    suppressed: Vec<u64>,
}

impl Snapshot {
    pub fn new(w: &World, campaigns: &[Campaign], layout: Layout) -> Self {
        let mut suppressed = vec![0u64; (w.subs as usize).div_ceil(64)];
        (0..w.subs).filter(|&s| w.suppressed(s)).for_each(|s| suppressed[s as usize / 64] |= 1 << (s % 64));
        Self { world: *w, matrix: Arc::new(matrix(w, campaigns, layout)), suppressed }
    }
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }
}

/// Tag condition and own list folded into one bit; peer list into another.
fn matrix(w: &World, campaigns: &[Campaign], layout: Layout) -> Matrix {
    let slots: Vec<usize> = campaigns
        .iter()
        .map(|c| layout.slot_of(campaign_id(c.id)).unwrap_or_else(|| unreachable!("every campaign has a trigger")))
        .collect();
    let (words, peer_words) = (layout.words(), layout.peer_words());
    let mut own_rows = huge_rows(words, w.subs as usize);
    let own = own_rows.bits_mut();
    for s in 0..w.subs {
        let tags = w.tags(s);
        let row = &mut own[s as usize * words..][..words];
        for (c, &slot) in campaigns.iter().zip(&slots) {
            if c.condition(&tags) && c.own_lets(&w.h, s) {
                row[slot / 64] |= 1 << (slot % 64);
            }
        }
    }
    let peered: Vec<(&Campaign, usize, usize)> = campaigns
        .iter()
        .zip(&slots)
        .filter(|(c, _)| c.has_peer)
        .map(|(c, &slot)| {
            (c, layout.peer_word_of(slot).unwrap_or_else(|| unreachable!("it asks for the peer")), slot % 64)
        })
        .collect();
    let rows = |from: u64| {
        let mut rows = huge_rows(peer_words, w.subs as usize);
        let bits = rows.bits_mut();
        for p in 0..w.subs {
            let row = &mut bits[p as usize * peer_words..][..peer_words];
            for &(c, word, bit) in &peered {
                if c.peer_lets(&w.h, from + p) {
                    row[word] |= 1 << bit;
                }
            }
        }
        rows
    };
    let peers = [rows(0), rows(w.subs)];
    Matrix::from_parts(layout, own_rows, peers, vec![0; peer_words])
        .unwrap_or_else(|| unreachable!("rows of the layout"))
}

/// Rows of zeros in large pages.
fn huge_rows(words: usize, rows: usize) -> Rows {
    let rows = Rows::new(words, rows);
    advise_huge(rows.bits().as_ptr().cast(), 8 * rows.bits().len());
    rows
}

impl Facts for Snapshot {
    fn snapshot(&self) -> SnapshotId {
        SNAPSHOT
    }
    fn address(&self, _: SubscriberId, _: Channel) -> bool {
        true
    }
    fn suppressed(&self, s: SubscriberId) -> Listed {
        match self.suppressed.get(s.0 as usize / 64) {
            Some(word) if word >> (s.0 % 64) & 1 == 1 => Listed::Yes,
            Some(_) => Listed::No,
            None => Listed::Unreadable,
        }
    }
    fn do_not_disturb(&self, _: SubscriberId) -> Listed {
        Listed::No
    }
    fn consent(&self, _: SubscriberId, _: CampaignClass, _: Channel) -> Consent {
        Consent::Granted
    }
    fn in_audience(&self, _: CampaignId, _: SubscriberId) -> bool {
        false
    }
    fn matrix(&self) -> Option<&Arc<Matrix>> {
        Some(&self.matrix)
    }
    fn listed_control(&self, c: CampaignId, s: SubscriberId) -> Option<bool> {
        Some(self.world.is_control(u64::from(c.0) - 1, s.0.into()))
    }
}

/// One playbook and one snapshot.
pub struct Shelf {
    pub book: Arc<Playbook>,
    pub facts: Arc<Snapshot>,
}

impl Shelf {
    pub fn new(w: &World) -> Self {
        let campaigns: Vec<Campaign> = (0..CAMPAIGNS).map(|c| w.campaign(c)).collect();
        let book = playbook(w, &campaigns);
        let facts = Snapshot::new(w, &campaigns, book.layout());
        Self { book: Arc::new(book), facts: Arc::new(facts) }
    }
}

impl Library for Shelf {
    fn playbook(&self, id: PlaybookId) -> Result<Option<Arc<Playbook>>, LibraryError> {
        Ok((id == BOOK).then(|| self.book.clone()))
    }
    fn facts(&self, id: SnapshotId) -> Result<Option<Arc<dyn Facts>>, LibraryError> {
        Ok((id == SNAPSHOT).then(|| self.facts.clone() as Arc<dyn Facts>))
    }
    fn audience(&self, _: &AudienceHash) -> Result<Option<Arc<RoaringBitmap>>, LibraryError> {
        Ok(None)
    }
}
