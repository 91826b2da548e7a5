//! Campaigns, approvals, budgets, operators, audit: the only relational SQL of Kairos.
//!
//! Invariants held here:
//! - a campaign moves only along draft → submitted → approved → running ⇄ paused → ended → evaluated, and every step is
//!   one transaction together with its audit entry;
//! - an approval binds to the hash of one content; any edit makes a new version and voids it;
//! - who acts is the user of a token ([`Actor`]), never a parameter, and an author never approves their own work;
//! - the audit log is a chain of hashes over what is stored: a changed, removed or cut entry, and a row changed behind
//!   the log's back, are found by [`Catalog::verify_audit`];
//! - a campaign's number and salt are made once and never change;
//! - nothing here holds a number, name or text of a subscriber: ordinals, ids and hashes only.
//!
//! Time and randomness are arguments; the database file is the caller's path.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod canonical;
pub mod check;
pub mod def;
pub mod forms;
pub mod read;
pub mod state;
mod store;
pub mod tenant;
mod trigger;
pub mod users;

pub use canonical::{ContentHash, canonical};
pub use check::{Finding, Findings, Limits, Severity, check_def, is_slug};
pub use def::{
    Audience, Budget, CampaignDef, Condition, Control, Creative, Goal, GoalMetric, Offer, PolicyOverrides, WaveDef,
};
pub use forms::{Amount, DayTime, DayWindow, Lang, LocalTime, Name, Share};
pub use read::ReadError;
pub use state::{Approval, CampaignState, Case, EndCause, Illegal, REASON_MAX, Rejection, Signed, Step};
pub use store::{
    BUSY_TIMEOUT, Catalog, CatalogError, ErrorKind, PAGE_MAX,
    audit::{AuditEntry, AuditPage, Broken, Head, Verified},
    campaigns::{Campaign, CampaignFilter, CampaignPage, VersionInfo},
    records::{Evaluation, Holdout, Remembered, WaveRecord, WaveStart},
};
pub use tenant::{
    ChannelConfig, ContactPolicy, HoldoutConfig, HoldoutPeriod, Holiday, Numbers, Policies, Replies, TenantConfig,
    TenantError, UnknownConsent, same_reply,
};
pub use trigger::{AbsenceDef, EarlierDef, EventFilter, Lasting, PeerDef, Role, ThenDef, TriggerDef};
pub use users::{Actor, Random, SEED_USERS, Token, User};
