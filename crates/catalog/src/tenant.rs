//! The tenant: zone, currency, number plan, holidays, contact policy by class, channels, replies, holdout.

use crate::{
    check::{Findings, Limits},
    def::CampaignDef,
    forms::{DayWindow, Lang, Name, Share, listed, text},
    read::{self, ReadError},
};
use kairos_model::{
    CampaignClass, Channel, Currency, LocalDay, NumberPlan, NumberPlanConfig, TenantId, Timestamp, Zone,
};
use serde::{Deserialize, Serialize};

/// Longest tenant file taken, in bytes: room for thousands of short codes and holidays.
const TENANT_BYTES_MAX: usize = 1024 * 1024;

/// One operator, as `tenant.toml` says it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// The number that stands in every durable header.
    pub id: u16,
    pub name: Name,
    /// IANA name; local times of campaigns, quiet hours, holidays and local days are of this zone.
    pub zone: String,
    #[serde(with = "text")]
    pub currency: Currency,
    /// The language of a subscriber of whom none is known.
    pub language: Lang,
    pub numbers: Numbers,
    pub policy: Policies,
    #[serde(default)]
    pub holidays: Vec<Holiday>,
    pub channels: Vec<ChannelConfig>,
    pub replies: Replies,
    pub holdout: HoldoutConfig,
    #[serde(default)]
    pub limits: Limits,
}

/// The number plan, see [`NumberPlanConfig`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    pub country: u16,
    pub region: String,
    pub national_len: u8,
    pub mobile_prefixes: Vec<String>,
    pub short_codes: Vec<String>,
}

/// The contact policy of each class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    pub marketing: ContactPolicy,
    pub care: ContactPolicy,
    pub public_interest: ContactPolicy,
}

/// What a class of campaigns must respect (接触策略).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactPolicy {
    /// The same creative family again only after so many × 86,400 s; 0 = no limit.
    pub same_message_days: u16,
    /// After any other campaign only after so many × 86,400 s; 0 = no limit.
    pub other_campaign_days: u16,
    /// Local stretches of every day in which nothing is sent (免打扰时段).
    pub quiet_hours: Vec<DayWindow>,
    pub send_on_holidays: bool,
    /// What a subscriber without a recorded consent means.
    pub unknown_consent: UnknownConsent,
}

/// How a missing consent is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownConsent {
    Deny,
    Allow,
}

/// Local days on which a class without `send_on_holidays` sends nothing; both ends inclusive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holiday {
    pub name: Name,
    #[serde(with = "text")]
    pub from: LocalDay,
    #[serde(with = "text")]
    pub to: LocalDay,
}

/// What a channel can carry (渠道容量).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    #[serde(with = "listed")]
    pub channel: Channel,
    /// Contacts a second.
    pub per_second: u32,
    /// Contacts a local day.
    pub per_day: u64,
    /// The short code that messages come from, where the channel has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
}

/// How replies are read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replies {
    /// Whole replies (trimmed, any case) that opt the number out of everything.
    pub opt_out: Vec<String>,
}

/// The global holdout (全局保留组).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldoutConfig {
    pub share: Share,
    pub period: HoldoutPeriod,
}

/// How long one draw of the holdout lasts, in calendar time of the tenant's zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldoutPeriod {
    Month,
    Quarter,
    Year,
}

/// A tenant file that does not read, or reads and makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    #[error("cannot read the tenant file `{path}`")]
    File {
        path: String,
        #[source]
        cause: std::io::Error,
    },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("`{file}` is no tenant yet: {findings}")]
    Check { file: String, findings: Findings },
}

impl Replies {
    /// Whether a whole reply opts out: case, blanks and punctuation around it do not matter.
    pub fn is_opt_out(&self, reply: &str) -> bool {
        self.opt_out.iter().any(|word| same_reply(reply, word))
    }
}

/// Whether a whole reply is `word`: case, blanks and punctuation around it do not matter, nor whether a keyboard wrote
/// full-width letters.
pub fn same_reply(reply: &str, word: &str) -> bool {
    let plain = |s: &str| -> String {
        let narrow = |c: char| match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
            '\u{3000}' => ' ',
            c => c,
        };
        let s: String = s.chars().map(narrow).collect();
        s.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
    };
    let word = plain(word);
    !word.is_empty() && plain(reply) == word
}

impl TenantConfig {
    pub fn load(path: &std::path::Path) -> Result<Self, TenantError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|cause| TenantError::File { path: name.clone(), cause })?;
        Self::from_toml(&name, &text)
    }
    /// Reads and checks; `file` only names it in errors.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, TenantError> {
        let tenant: Self = read::from_toml(file, text, TENANT_BYTES_MAX)?;
        let findings = tenant.check();
        if findings.has_errors() {
            return Err(TenantError::Check { file: file.to_owned(), findings });
        }
        Ok(tenant)
    }

    /// Everything wrong with it, at once.
    pub fn check(&self) -> Findings {
        let mut f = Findings::default();
        if let Err(e) = Zone::named(&self.zone) {
            f.error("/zone", e);
        }
        if self.numbers.region.len() != 2 || !self.numbers.region.bytes().all(|b| b.is_ascii_uppercase()) {
            f.error("/numbers/region", format!("`{}` is no ISO 3166 code, such as CN", self.numbers.region));
        }
        if let Err(e) = NumberPlan::new(&self.number_plan()) {
            f.error("/numbers", e);
        }
        for (class, policy) in [
            ("marketing", &self.policy.marketing),
            ("care", &self.policy.care),
            ("public_interest", &self.policy.public_interest),
        ] {
            crate::check::policy_days(&mut f, &format!("/policy/{class}/same_message_days"), policy.same_message_days);
            crate::check::policy_days(
                &mut f,
                &format!("/policy/{class}/other_campaign_days"),
                policy.other_campaign_days,
            );
            crate::check::quiet_hours(&mut f, &format!("/policy/{class}/quiet_hours"), &policy.quiet_hours);
        }
        for (i, h) in self.holidays.iter().enumerate() {
            if h.to < h.from {
                f.error(&format!("/holidays/{i}/to"), format!("{} is before the holiday's first day {}", h.to, h.from));
            }
        }
        self.check_channels(&mut f);
        if self.replies.opt_out.is_empty() {
            f.error("/replies/opt_out", "no word opts out; name at least one, such as \"TD\"");
        }
        if let Some(i) = self.replies.opt_out.iter().position(|w| w.trim().is_empty()) {
            f.error(&format!("/replies/opt_out/{i}"), "an opt-out word is blank: it would match empty replies");
        }
        if self.holdout.share.ppm() > 500_000 {
            f.error("/holdout/share", format!("{} keeps back more than half of everybody", self.holdout.share));
        }
        f
    }

    fn check_channels(&self, f: &mut Findings) {
        if self.channels.is_empty() {
            f.error("/channels", "no channel is configured");
        }
        for (i, c) in self.channels.iter().enumerate() {
            if self.channels[..i].iter().any(|d| d.channel == c.channel) {
                f.error(&format!("/channels/{i}/channel"), format!("`{}` is configured twice", c.channel));
            }
            if c.per_second == 0 || c.per_day == 0 {
                f.error(&format!("/channels/{i}"), "a capacity of 0 sends nothing; leave the channel out instead");
            }
            if let Some(sender) = c.sender.as_ref().filter(|s| !self.numbers.short_codes.contains(s)) {
                f.error(
                    &format!("/channels/{i}/sender"),
                    format!("`{sender}` is none of /numbers/short_codes, so replies to it would be nobody's"),
                );
            }
        }
    }

    pub fn tenant_id(&self) -> TenantId {
        TenantId(self.id)
    }
    /// The zone; UTC if `check` was not heeded.
    pub fn tz(&self) -> Zone {
        Zone::named(&self.zone).unwrap_or_else(|_| Zone::utc())
    }
    pub fn number_plan(&self) -> NumberPlanConfig {
        let n = self.numbers.clone();
        NumberPlanConfig {
            country: n.country,
            region: n.region,
            national_len: n.national_len,
            mobile_prefixes: n.mobile_prefixes,
            short_codes: n.short_codes,
        }
    }
    pub const fn policy(&self, class: CampaignClass) -> &ContactPolicy {
        match class {
            CampaignClass::Marketing => &self.policy.marketing,
            CampaignClass::Care => &self.policy.care,
            CampaignClass::PublicInterest => &self.policy.public_interest,
        }
    }
    /// The policy of a campaign: its class's, with its own overrides.
    pub fn policy_of(&self, def: &CampaignDef) -> ContactPolicy {
        let (class, own) = (self.policy(def.class), &def.policy);
        ContactPolicy {
            same_message_days: own.same_message_days.unwrap_or(class.same_message_days),
            other_campaign_days: own.other_campaign_days.unwrap_or(class.other_campaign_days),
            quiet_hours: own.quiet_hours.clone().unwrap_or_else(|| class.quiet_hours.clone()),
            send_on_holidays: own.send_on_holidays.unwrap_or(class.send_on_holidays),
            unknown_consent: class.unknown_consent,
        }
    }
    pub fn channel(&self, channel: Channel) -> Option<&ChannelConfig> {
        self.channels.iter().find(|c| c.channel == channel)
    }
    pub fn holiday(&self, day: LocalDay) -> Option<&Holiday> {
        self.holidays.iter().find(|h| h.from <= day && day <= h.to)
    }
    /// The name of the holdout period that holds `at`: `2026`, `2026-Q1` or `2026-03`.
    pub fn holdout_period(&self, at: Timestamp) -> String {
        let day = self.tz().civil(at).date();
        match self.holdout.period {
            HoldoutPeriod::Year => format!("{}", day.year()),
            HoldoutPeriod::Quarter => format!("{}-Q{}", day.year(), (day.month() + 2) / 3),
            HoldoutPeriod::Month => format!("{}-{:02}", day.year(), day.month()),
        }
    }
}
