//! Eligibility, contact policy, arbitration, control groups: the pure step.
//!
//! Every channel and every kind of campaign asks the same [`step`]; what subscribers share (rate, day capacity, budget)
//! is granted afterwards by one [`Allocator`]. The rules are told to operators in `docs/reference/policy.md`.
//!
//! Invariants held here:
//! - the same state, event, facts, playbook and instant give the same actions: nothing else is read;
//! - all reasons are judged; the primary is the first in the fixed order of `model::Reason`;
//! - a contact counts from its stamp for exactly the window: at `stamp + window` the next one is allowed;
//! - pending and unknown contacts count like sent ones; a control counts for its own family only;
//! - history is never cut while the longest window that a playbook may ask for can still reach it;
//! - a subscriber's timers that are due fire, each at its due time by (due, campaign), before the event that follows;
//! - an event has at most one contact: the first campaign by (priority, id) that every rule allows;
//! - an event older than what is known moves neither place nor power;
//! - control and holdout are judged last: only who would have been sent can become one.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod allocate;
mod facts;
mod gate;
mod judge;
mod matcher;
mod matrix;
mod moment;
mod playbook;
mod pool;
mod prefetch;
mod state;
mod states;
mod step;
mod trigger;
mod window;

pub use allocate::{Allocator, ChannelUse, Grant};
pub use facts::{Consent, Facts, Listed};
pub use gate::{Gate, GateQuestion};
pub use judge::{Judgement, SendCheck, check_at_send, judge};
pub use matrix::{Layout, Matrix, Rows, Slot};
pub use moment::{Failing, explain, fire_due};
pub use playbook::{
    BookError, Campaign, ChannelCapacity, ContactPolicy, FamilyId, Playbook, RunState, Share, TenantPolicy,
    UnknownConsent,
};
pub use state::{Entry, HISTORY_KEEP, Mark, Progress, Timer};
pub use states::{Saved, State, States};
pub use step::{
    Action, Actions, Arm, Moment, Request, Waiting, Withheld, arm_of, glance, order_key, order_salt, step,
    step_glanced, wave_event,
};
pub use trigger::{CellSet, Cmp, Earlier, Field, Filter, Test, Then, Trigger};
pub use window::{Calendar, MinuteRange, QuietHours};
