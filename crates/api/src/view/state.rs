//! Where a campaign stands, with who did it and when.

use super::time;
use kairos_catalog::{CampaignState, EndCause, Signed};
use kairos_model::UserId;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Names of the users, by number.
#[derive(Clone, Debug, Default)]
pub struct People(pub BTreeMap<UserId, String>);

impl People {
    fn name(&self, id: UserId) -> String {
        match self.0.get(&id) {
            Some(name) => name.clone(),
            None if id.0 == 0 => "system".to_owned(),
            None => id.to_string(),
        }
    }
    pub fn signed(&self, s: Signed) -> Signature {
        self.signature(s.by, s.at)
    }
    pub fn signature(&self, by: UserId, at: kairos_model::Timestamp) -> Signature {
        Signature { by: self.name(by), at: time(at) }
    }
}

/// draft → submitted → approved → running ⇄ paused → ended → evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    Draft,
    Submitted,
    Approved,
    Running,
    Paused,
    Ended,
    Evaluated,
}

/// Who did it, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Signature {
    /// The console user.
    #[schema(example = "planner")]
    pub by: String,
    #[schema(format = DateTime)]
    pub at: String,
}

/// An approval: it binds to one content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Approval {
    pub by: String,
    #[schema(format = DateTime)]
    pub at: String,
    pub version: u32,
    pub content_hash: String,
}

/// A step with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reasoned {
    pub by: String,
    #[schema(format = DateTime)]
    pub at: String,
    pub reason: String,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ended {
    pub by: String,
    #[schema(format = DateTime)]
    pub at: String,
    /// `stopped` or `completed`.
    pub cause: &'static str,
    pub reason: Option<String>,
}

/// The state with its facts; what has not happened is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Standing {
    pub state: StateName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Reasoned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted: Option<Signature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Signature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Reasoned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<Signature>,
}

impl StateName {
    pub const fn of(state: &CampaignState) -> Self {
        match state {
            CampaignState::Draft { .. } => Self::Draft,
            CampaignState::Submitted { .. } => Self::Submitted,
            CampaignState::Approved { .. } => Self::Approved,
            CampaignState::Running { .. } => Self::Running,
            CampaignState::Paused { .. } => Self::Paused,
            CampaignState::Ended { .. } => Self::Ended,
            CampaignState::Evaluated { .. } => Self::Evaluated,
        }
    }
}

impl Standing {
    pub fn of(state: &CampaignState, people: &People) -> Self {
        let reasoned = |s: &Signed, reason: &str| {
            let Signature { by, at } = people.signed(*s);
            Reasoned { by, at, reason: reason.to_owned() }
        };
        let approval = state.approval();
        let mut standing = Self {
            state: StateName::of(state),
            rejected: None,
            submitted: approval.map(|a| people.signed(a.submitted)),
            approval: approval.map(|a| {
                let Signature { by, at } = people.signed(a.signed);
                Approval { by, at, version: a.version.0, content_hash: a.content.to_string() }
            }),
            started: state.started().map(|s| people.signed(s)),
            paused: None,
            ended: None,
            evaluated: None,
        };
        match state {
            CampaignState::Draft { rejected: Some(r) } => standing.rejected = Some(reasoned(&r.signed, &r.reason)),
            CampaignState::Submitted { submitted, .. } => standing.submitted = Some(people.signed(*submitted)),
            CampaignState::Paused { paused, reason, .. } => standing.paused = Some(reasoned(paused, reason)),
            CampaignState::Ended { ended, cause, .. } => standing.ended = Some(ended_of(people, *ended, cause)),
            CampaignState::Evaluated { ended, cause, evaluated, .. } => {
                standing.ended = Some(ended_of(people, *ended, cause));
                standing.evaluated = Some(people.signed(*evaluated));
            }
            CampaignState::Draft { rejected: None }
            | CampaignState::Approved { .. }
            | CampaignState::Running { .. } => {}
        }
        standing
    }
}

fn ended_of(people: &People, signed: Signed, cause: &EndCause) -> Ended {
    let Signature { by, at } = people.signed(signed);
    match cause {
        EndCause::Stopped { reason } => Ended { by, at, cause: "stopped", reason: Some(reason.clone()) },
        EndCause::Completed => Ended { by, at, cause: "completed", reason: None },
    }
}
