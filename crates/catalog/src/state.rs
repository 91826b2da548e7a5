//! The life of a campaign: draft → submitted → approved → running ⇄ paused → ended → evaluated. Pure: no store, no clock.

use crate::{canonical::ContentHash, forms::LocalTime, users::Actor};
use kairos_model::{CampaignVersion, Timestamp, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Longest reason for a rejection, pause or stop, in characters: one line on a screen.
pub const REASON_MAX: usize = 200;

/// Who did a step, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signed {
    #[serde(with = "user_id")]
    pub by: UserId,
    #[serde(with = "micros")]
    pub at: Timestamp,
}

/// An approval: it binds to one content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Approval {
    pub signed: Signed,
    pub submitted: Signed,
    #[serde(with = "version")]
    pub version: CampaignVersion,
    pub content: ContentHash,
}

/// Why a campaign ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Somebody stopped it.
    Stopped { reason: String },
    /// All its waves are done, or its end came.
    Completed,
}

/// Where a campaign stands; a state carries its facts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CampaignState {
    /// `rejected`: what the approver said, if it came back.
    Draft {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rejected: Option<Rejection>,
    },
    Submitted {
        submitted: Signed,
        content: ContentHash,
    },
    Approved {
        approval: Approval,
    },
    Running {
        approval: Approval,
        started: Signed,
    },
    Paused {
        approval: Approval,
        started: Signed,
        paused: Signed,
        reason: String,
    },
    Ended {
        approval: Approval,
        started: Signed,
        ended: Signed,
        cause: EndCause,
    },
    Evaluated {
        approval: Approval,
        started: Signed,
        ended: Signed,
        cause: EndCause,
        evaluated: Signed,
    },
}

/// An approver's no.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rejection {
    pub signed: Signed,
    pub reason: String,
}

/// A step that somebody asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A new version; the old approval, if any, is void. Made by [`crate::Catalog::edit`] only.
    #[non_exhaustive]
    Edit,
    Submit,
    /// Back to a draft without a change: a submission or an approval is taken back.
    Withdraw {
        reason: String,
    },
    /// `seen`: the content that the approver read. If the definition changed since, the approval is refused.
    Approve {
        seen: Option<ContentHash>,
    },
    Reject {
        reason: String,
    },
    Start,
    Pause {
        reason: String,
    },
    Resume,
    Stop {
        reason: String,
    },
    /// The engine reports that nothing is left to do.
    Complete,
    /// Made by [`crate::Catalog::evaluate`] only, together with the result.
    #[non_exhaustive]
    Evaluate,
}

/// What a step is judged against besides the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case<'a> {
    pub slug: &'a str,
    pub version: CampaignVersion,
    /// Hash of the definition as it is stored now.
    pub content: ContentHash,
    /// Who made the last edit.
    pub edited_by: UserId,
    /// The campaign's end as local text and as instant.
    pub end: (LocalTime, Timestamp),
}

/// A step that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    #[error("cannot {step} `{slug}`: campaign is {state}; {remedy}")]
    State { step: &'static str, slug: String, state: &'static str, remedy: &'static str },
    #[error("cannot approve `{slug}`: {user} {deed}; another user must approve it")]
    OwnWork { slug: String, user: String, deed: &'static str },
    #[error("cannot {step} `{slug}`: its definition is {now}, not the {expected} that was {what}; read it again")]
    Changed { step: &'static str, slug: String, expected: String, now: String, what: &'static str },
    #[error("cannot {step} `{slug}`: its end {end} has passed; move the end, then submit and approve it again")]
    PastEnd { step: &'static str, slug: String, end: LocalTime },
    #[error("cannot {step} `{slug}`: only a person can, and this is the system itself")]
    System { step: &'static str, slug: String },
    #[error("cannot {step} `{slug}`: say why, in 1–{REASON_MAX} characters")]
    Reason { step: &'static str, slug: String },
}

impl Step {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Submit => "submit",
            Self::Withdraw { .. } => "withdraw",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Start => "start",
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Stop { .. } => "stop",
            Self::Complete => "complete",
            Self::Evaluate => "evaluate",
        }
    }
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Withdraw { reason } | Self::Reject { reason } | Self::Pause { reason } | Self::Stop { reason } => {
                Some(reason)
            }
            _ => None,
        }
    }
}

impl CampaignState {
    pub const NAMES: [&'static str; 7] = ["draft", "submitted", "approved", "running", "paused", "ended", "evaluated"];

    pub const fn draft() -> Self {
        Self::Draft { rejected: None }
    }
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Draft { .. } => "draft",
            Self::Submitted { .. } => "submitted",
            Self::Approved { .. } => "approved",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Ended { .. } => "ended",
            Self::Evaluated { .. } => "evaluated",
        }
    }
    /// The approval in force or, once ended, the one that it ran under.
    pub const fn approval(&self) -> Option<&Approval> {
        match self {
            Self::Draft { .. } | Self::Submitted { .. } => None,
            Self::Approved { approval }
            | Self::Running { approval, .. }
            | Self::Paused { approval, .. }
            | Self::Ended { approval, .. }
            | Self::Evaluated { approval, .. } => Some(approval),
        }
    }
    pub const fn started(&self) -> Option<Signed> {
        match self {
            Self::Draft { .. } | Self::Submitted { .. } | Self::Approved { .. } => None,
            Self::Running { started, .. }
            | Self::Paused { started, .. }
            | Self::Ended { started, .. }
            | Self::Evaluated { started, .. } => Some(*started),
        }
    }
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Paused { .. })
    }

    /// What to do instead of `step` in this state.
    const fn remedy(&self, step: &Step) -> &'static str {
        match (self, step) {
            (Self::Draft { .. }, Step::Start) => "submit and approve it first",
            (Self::Draft { .. }, Step::Approve { .. } | Step::Reject { .. }) => "its author must submit it first",
            (Self::Draft { .. }, Step::Withdraw { .. }) => "nothing was submitted",
            (Self::Draft { .. }, _) => "it was never started",
            (Self::Submitted { .. }, Step::Submit) => "it waits for an approver",
            (Self::Submitted { .. }, Step::Start) => "another user must approve it first",
            (Self::Submitted { .. } | Self::Approved { .. }, Step::Pause { .. } | Step::Stop { .. }) => {
                "it was never started; withdraw it"
            }
            (Self::Submitted { .. }, _) => "it was never started",
            (Self::Approved { .. }, Step::Submit | Step::Approve { .. } | Step::Reject { .. }) => {
                "start it, or withdraw it"
            }
            (Self::Approved { .. }, _) => "start it first",
            (Self::Running { .. }, Step::Start) => "a campaign is launched once",
            (Self::Running { .. }, Step::Evaluate) => "stop it, or wait for its end",
            (Self::Running { .. }, Step::Resume) => "it is not paused",
            (Self::Paused { .. }, Step::Start | Step::Pause { .. }) => "resume it, or stop it",
            (Self::Paused { .. }, Step::Evaluate) => "stop it first",
            (Self::Running { .. } | Self::Paused { .. }, _) => "stop it, and write the change as a new campaign",
            (Self::Ended { .. } | Self::Evaluated { .. }, Step::Start | Step::Resume) => {
                "a campaign is launched once; write a new one with another id"
            }
            (Self::Ended { .. } | Self::Evaluated { .. }, _) => "it is over; write a new one with another id",
        }
    }

    /// The state after `step`, or why not. Changes nothing.
    pub fn after(&self, step: &Step, case: &Case<'_>, actor: &Actor, now: Timestamp) -> Result<Self, Illegal> {
        self.admissible(step, case, actor)?;
        let signed = Signed { by: actor.id(), at: now };
        let reason = step.reason().unwrap_or_default().trim().to_owned();
        match (self.clone(), step) {
            (Self::Draft { .. } | Self::Submitted { .. } | Self::Approved { .. }, Step::Edit) => Ok(Self::draft()),
            (Self::Draft { .. }, Step::Submit) => {
                case.before_end(step, now)?;
                Ok(Self::Submitted { submitted: signed, content: case.content })
            }
            (Self::Submitted { .. } | Self::Approved { .. }, Step::Withdraw { .. }) => Ok(Self::draft()),
            (Self::Submitted { submitted, content }, Step::Approve { seen }) => {
                case.unchanged(step, content, "submitted")?;
                if let Some(seen) = seen {
                    case.unchanged(step, *seen, "read")?;
                }
                case.somebody_else(actor, submitted.by)?;
                let approval = Approval { signed, submitted, version: case.version, content };
                Ok(Self::Approved { approval })
            }
            (Self::Submitted { .. }, Step::Reject { .. }) => {
                Ok(Self::Draft { rejected: Some(Rejection { signed, reason }) })
            }
            (Self::Approved { approval }, Step::Start) => {
                case.unchanged(step, approval.content, "approved")?;
                case.before_end(step, now)?;
                Ok(Self::Running { approval, started: signed })
            }
            (Self::Running { approval, started }, Step::Pause { .. }) => {
                Ok(Self::Paused { approval, started, paused: signed, reason })
            }
            (Self::Paused { approval, started, .. }, Step::Resume) => {
                case.unchanged(step, approval.content, "approved")?;
                case.before_end(step, now)?;
                Ok(Self::Running { approval, started })
            }
            (
                Self::Running { approval, started } | Self::Paused { approval, started, .. },
                Step::Stop { .. } | Step::Complete,
            ) => {
                let cause = if *step == Step::Complete { EndCause::Completed } else { EndCause::Stopped { reason } };
                Ok(Self::Ended { approval, started, ended: signed, cause })
            }
            // an evaluation may be repeated: late receipts and orders change it
            (
                Self::Ended { approval, started, ended, cause }
                | Self::Evaluated { approval, started, ended, cause, .. },
                Step::Evaluate,
            ) => Ok(Self::Evaluated { approval, started, ended, cause, evaluated: signed }),
            _ => Err(Illegal::State {
                step: step.name(),
                slug: case.slug.to_owned(),
                state: self.name(),
                remedy: self.remedy(step),
            }),
        }
    }

    fn admissible(&self, step: &Step, case: &Case<'_>, actor: &Actor) -> Result<(), Illegal> {
        let authored = matches!(
            step,
            Step::Edit
                | Step::Submit
                | Step::Withdraw { .. }
                | Step::Approve { .. }
                | Step::Reject { .. }
                | Step::Start
        );
        if authored && actor.is_system() {
            return Err(Illegal::System { step: step.name(), slug: case.slug.to_owned() });
        }
        match step.reason().map(|r| r.trim().chars().count()) {
            Some(n) if n == 0 || n > REASON_MAX => {
                Err(Illegal::Reason { step: step.name(), slug: case.slug.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

impl Case<'_> {
    fn unchanged(&self, step: &Step, expected: ContentHash, what: &'static str) -> Result<(), Illegal> {
        if expected == self.content {
            return Ok(());
        }
        Err(Illegal::Changed {
            step: step.name(),
            slug: self.slug.to_owned(),
            expected: expected.short(),
            now: self.content.short(),
            what,
        })
    }
    fn somebody_else(&self, actor: &Actor, submitted_by: UserId) -> Result<(), Illegal> {
        let deed = match (actor.id() == self.edited_by, actor.id() == submitted_by) {
            (true, true) => "wrote and submitted it",
            (true, false) => "made the last edit",
            (false, true) => "submitted it",
            (false, false) => return Ok(()),
        };
        Err(Illegal::OwnWork { slug: self.slug.to_owned(), user: actor.name().to_owned(), deed })
    }
    fn before_end(&self, step: &Step, now: Timestamp) -> Result<(), Illegal> {
        if now < self.end.1 {
            return Ok(());
        }
        Err(Illegal::PastEnd { step: step.name(), slug: self.slug.to_owned(), end: self.end.0 })
    }
}

impl fmt::Display for CampaignState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! as_number {
    ($module:ident, $t:ty, $raw:ty) => {
        pub(crate) mod $module {
            use super::*;
            pub fn serialize<S: Serializer>(x: &$t, s: S) -> Result<S::Ok, S::Error> {
                x.0.serialize(s)
            }
            pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<$t, D::Error> {
                <$raw>::deserialize(d).map(<$t>::from_raw)
            }
        }
    };
}

trait FromRaw<R> {
    fn from_raw(raw: R) -> Self;
}
impl FromRaw<u32> for UserId {
    fn from_raw(raw: u32) -> Self {
        Self(raw)
    }
}
impl FromRaw<u32> for CampaignVersion {
    fn from_raw(raw: u32) -> Self {
        Self(raw)
    }
}
impl FromRaw<i64> for Timestamp {
    fn from_raw(raw: i64) -> Self {
        Self(raw)
    }
}
as_number!(user_id, UserId, u32);
as_number!(version, CampaignVersion, u32);
as_number!(micros, Timestamp, i64);
