//! The event: what happened to a subscriber on the network or at a touchpoint.

use crate::{
    id::{CellId, PartyId, SubscriberId},
    time::Timestamp,
};

/// Event types (C27) with stable codes; 128 and above are the tenant's custom types. Names and fields of each are in
/// [`crate::event_type`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct EventType(pub u16);

impl EventType {
    pub const CALL_STARTED: Self = Self(1);
    pub const CALL_ANSWERED: Self = Self(2);
    pub const CALL_ENDED: Self = Self(3);
    pub const LONG_DISTANCE_IN: Self = Self(4);
    pub const MOVED: Self = Self(5);
    pub const POWER_ON: Self = Self(6);
    pub const POWER_OFF: Self = Self(7);
    pub const MESSAGE_SENT: Self = Self(8);
    pub const MESSAGE_RECEIVED: Self = Self(9);
    pub const DATA_SESSION: Self = Self(10);
    pub const ROAMING_IN: Self = Self(11);
    pub const ROAMING_OUT: Self = Self(12);
    pub const TOP_UP: Self = Self(13);
    pub const BALANCE_LOW: Self = Self(14);
    pub const PRODUCT_USED: Self = Self(15);
    pub const PAGE_VIEWED: Self = Self(16);
    pub const DEVICE_CHANGED: Self = Self(17);
    pub const AREA_ENTERED: Self = Self(18);
    pub const AREA_LEFT: Self = Self(19);
    /// A wave's cursor reached the subscriber; `aux` = campaign << 16 | wave.
    pub const WAVE_REACHED: Self = Self(64);
    pub const CUSTOM_FROM: u16 = 128;
}

/// The fixed header of an event: 40 bytes. A typed tail, where a type has one, travels beside it
/// ([`crate::event_tail`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Event {
    pub kind: EventType,
    /// [`Event::CALLER`], [`Event::CALLEE`], [`Event::LONG_DISTANCE`].
    pub flags: u16,
    pub subscriber: SubscriberId,
    pub peer: PartyId,
    /// [`CellId::NONE`]: the event says nothing about the place.
    pub cell: CellId,
    /// When it happened.
    pub at: Timestamp,
    /// When it was taken in: the only clock of the engine, set once, never decreasing.
    pub arrived: Timestamp,
    /// Duration in seconds, cause, amount in millionths: what the type says ([`crate::event_type::Place::Aux`]).
    pub aux: u64,
}

impl Event {
    /// Bit 0: the subscriber is the calling side.
    pub const CALLER: u16 = 1;
    /// Bit 1: the subscriber is the called side.
    pub const CALLEE: u16 = 2;
    /// Bit 2: between two provinces or countries.
    pub const LONG_DISTANCE: u16 = 4;
}

const _: () = assert!(size_of::<Event>() == 40);
