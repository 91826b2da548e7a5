//! Decisions: verdict, reasons in their fixed order, contact states, and the record that lasts.

use crate::{
    id::{CampaignId, CampaignVersion, PlaybookId, SnapshotId, SubscriberId, WaveNo},
    time::Timestamp,
};
use std::fmt;

macro_rules! reasons {
    ($($variant:ident = $code:literal, $text:literal, $zh:literal;)*) => {
        /// Why a subscriber was not contacted, in the fixed order of judgement: the primary reason of a decision is
        /// the first of its set. Codes are durable; the order is documented in `docs/reference` and never changes.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Reason { $($variant = $code),* }
        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
            pub const fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh),* }
            }
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons!(
    NotEligible = 0, "not_eligible", "不符合条件";
    NoAddress = 1, "no_address", "无可用号码";
    Suppressed = 2, "suppressed", "全局黑名单";
    DoNotDisturb = 3, "do_not_disturb", "免打扰客户";
    NoConsent = 4, "no_consent", "未授权";
    Ended = 5, "ended", "活动已结束";
    SameMessage = 6, "same_message", "同一内容三十天内已接触";
    OtherCampaign = 7, "other_campaign", "其他活动七天内已接触";
    HeldFor = 8, "held_for", "为更高优先级活动保留";
    Arbitration = 9, "arbitration", "优先级仲裁落选";
    QuietHours = 10, "quiet_hours", "免打扰时段";
    Holiday = 11, "holiday", "节假日";
    DayCapacity = 12, "day_capacity", "渠道日容量已满";
    RateCapacity = 13, "rate_capacity", "渠道速率已满";
    Budget = 14, "budget", "预算已用完";
    Unreadable = 15, "unreadable", "名单或授权无法读取";
    Paused = 16, "paused", "活动已暂停";
    Stopped = 17, "stopped", "活动已停止";
    KillSwitch = 18, "kill_switch", "紧急停止";
    TooLate = 19, "too_late", "超过最晚发送时间";
    OutOfWindow = 20, "out_of_window", "不在触发时段内";
    PoweredOff = 21, "powered_off", "手机已关机";
    LeftArea = 22, "left_area", "已离开区域";
    Happened = 23, "happened", "等待期间事件已发生";
    Waiting = 24, "waiting", "等待复核";
);

impl Reason {
    /// How many there are; codes are below it.
    pub const COUNT: usize = Self::ALL.len();
}
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
impl std::str::FromStr for Reason {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|r| r.name() == s).ok_or(())
    }
}

/// All reasons of one judgement, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ReasonSet(pub u32);

impl ReasonSet {
    pub const EMPTY: Self = Self(0);
    pub const fn with(self, r: Reason) -> Self {
        Self(self.0 | 1 << r as u8)
    }
    pub const fn has(self, r: Reason) -> bool {
        self.0 & 1 << r as u8 != 0
    }
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The first in the fixed order.
    pub const fn primary(self) -> Option<Reason> {
        if self.0 == 0 { None } else { Reason::from_code(self.0.trailing_zeros() as u8) }
    }
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.iter().copied().filter(move |&r| self.has(r))
    }
}
impl fmt::Debug for ReasonSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Reason::name)).finish()
    }
}

/// What `step` decided for one subscriber and campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Send,
    /// Would have been sent at this instant, and is kept back to measure against.
    Control,
    /// As `Control`, by the tenant's global holdout.
    Holdout,
    /// Not now: judged again at or after `until`.
    Defer {
        until: Timestamp,
        primary: Reason,
        all: ReasonSet,
    },
    /// `by` names the campaign for [`Reason::HeldFor`], [`Reason::OtherCampaign`] and [`Reason::Arbitration`].
    Withheld {
        primary: Reason,
        all: ReasonSet,
        by: Option<CampaignId>,
    },
}

impl Verdict {
    /// Durable code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Send => 1,
            Self::Control => 2,
            Self::Holdout => 3,
            Self::Defer { .. } => 4,
            Self::Withheld { .. } => 5,
        }
    }
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Control => "control",
            Self::Holdout => "holdout",
            Self::Defer { .. } => "defer",
            Self::Withheld { .. } => "withheld",
        }
    }
}

/// One line of the why / why-not trail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecisionRecord {
    pub stamp: Timestamp,
    pub subscriber: SubscriberId,
    pub campaign: CampaignId,
    pub version: CampaignVersion,
    /// [`WaveNo::MOMENT`]: a trigger's.
    pub wave: WaveNo,
    /// Which of the campaign's treatments, from 0.
    pub treatment: u8,
    pub verdict: Verdict,
    pub snapshot: SnapshotId,
    pub playbook: PlaybookId,
}

/// Where a member of a frozen audience stands (invariant 13): exactly one of these at any instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ContactState {
    NotReached = 0,
    Withheld = 1,
    Deferred = 2,
    Control = 3,
    /// Intended or offered, no answer yet.
    Pending = 4,
    Sent = 5,
    Failed = 6,
    Cancelled = 7,
    Unknown = 8,
}

impl ContactState {
    pub const ALL: [Self; 9] = [
        Self::NotReached,
        Self::Withheld,
        Self::Deferred,
        Self::Control,
        Self::Pending,
        Self::Sent,
        Self::Failed,
        Self::Cancelled,
        Self::Unknown,
    ];
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotReached => "not_reached",
            Self::Withheld => "withheld",
            Self::Deferred => "deferred",
            Self::Control => "control",
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
    pub const fn from_code(code: u8) -> Option<Self> {
        if (code as usize) < Self::ALL.len() { Some(Self::ALL[code as usize]) } else { None }
    }
}
impl fmt::Display for ContactState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_reason_is_the_first_in_the_fixed_order() {
        let all = ReasonSet::EMPTY.with(Reason::OtherCampaign).with(Reason::NoAddress).with(Reason::Budget);
        assert_eq!(all.primary(), Some(Reason::NoAddress));
        assert_eq!(all.iter().collect::<Vec<_>>(), [Reason::NoAddress, Reason::OtherCampaign, Reason::Budget]);
        assert_eq!(ReasonSet::EMPTY.primary(), None);
    }

    #[test]
    fn codes_come_back() {
        for &r in Reason::ALL {
            assert_eq!((Reason::from_code(r as u8), r.name().parse()), (Some(r), Ok(r)));
        }
        for s in ContactState::ALL {
            assert_eq!(ContactState::from_code(s as u8), Some(s));
        }
    }
}
