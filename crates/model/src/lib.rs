//! The nouns of Kairos: ids, time, money, phone numbers, the event, decisions, SMS text arithmetic.
//!
//! Floor 0: knows nothing else of the project, does no IO, reads no clock and knows no wire format.
//!
//! Invariants held here:
//! - an id is a type, never a bare integer or string;
//! - a [`Msisdn`] or [`Imsi`] is masked in `Debug` and `Display`; only `reveal` gives its digits;
//! - [`Money`] is integer millionths of a currency: no float ever enters an amount;
//! - every hash that outlives a process is [`hash::mix`] over stated inputs, never a random state.

pub mod channel;
pub mod clock;
pub mod decision;
pub mod disk;
pub mod event;
pub mod event_tail;
pub mod event_type;
pub mod hash;
pub mod id;
pub mod imsi;
pub mod mem_disk;
pub mod money;
pub mod msisdn;
pub mod mutant;
pub mod near;
pub mod sms;
pub mod table;
pub mod time;

pub use channel::{CampaignClass, Channel, ContactKind, Disposition};
pub use clock::{Awake, Clock};
pub use decision::{ContactState, DecisionRecord, Reason, ReasonSet, Verdict};
pub use event::{Event, EventType};
pub use event_type::{EventCatalog, EventTypeDef, FieldDef};
pub use id::{
    CampaignId, CampaignVersion, CellId, ContactId, ForeignId, OfferId, Party, PartyId, PlaybookId, Shard, ShortCode,
    SnapshotId, SourceId, SubscriberId, TenantId, UserId, WaveNo,
};
pub use imsi::Imsi;
pub use money::{Currency, Money, MoneyError};
pub use msisdn::{Dialled, Msisdn, NumberError, NumberPlan, NumberPlanConfig};
pub use time::{LocalDay, Span, Timestamp, Zone, ZoneError};
