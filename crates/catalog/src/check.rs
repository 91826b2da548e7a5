//! What can be judged of a definition without data: every finding at once, each with its JSON pointer.

use crate::{
    def::{CampaignDef, Condition, WaveDef},
    forms::{DayTime, DayWindow, LocalTime},
    read::escape,
    tenant::{ContactPolicy, TenantConfig},
    trigger::TriggerDef,
};
use kairos_model::{CampaignClass, Channel};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// What stands in the way of approval, or deserves the approver's eye.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// One finding at one field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    /// JSON pointer (RFC 6901) into the definition.
    pub pointer: String,
    pub message: String,
}

/// All findings of one check, in the order of the definition.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Findings(pub Vec<Finding>);

/// How far a definition may go; the tenant may change them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A control group above this share starves the campaign.
    pub control_percent_max: u8,
    /// Longest life of a campaign: beyond it, nobody remembers what was approved.
    pub days_max: u16,
    /// Waves of one campaign: the report shows one row each.
    pub waves_max: u16,
    /// Longest time that an audience may be held from other campaigns.
    pub hold_days_max: u16,
    /// Longest success window.
    pub success_window_days_max: u16,
    /// Most segments that any message may take.
    pub segments_max: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control_percent_max: 50,
            days_max: 366,
            waves_max: 50,
            hold_days_max: 31,
            success_window_days_max: 92,
            segments_max: 10,
        }
    }
}

impl Findings {
    pub(crate) fn error(&mut self, pointer: &str, message: impl fmt::Display) {
        self.push(Severity::Error, pointer, message);
    }
    pub(crate) fn warning(&mut self, pointer: &str, message: impl fmt::Display) {
        self.push(Severity::Warning, pointer, message);
    }
    /// Adds a finding of another judge, such as the condition's or the template's.
    pub fn push(&mut self, severity: Severity, pointer: &str, message: impl fmt::Display) {
        self.0.push(Finding { severity, pointer: pointer.to_owned(), message: message.to_string() });
    }
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|f| f.severity == Severity::Error)
    }
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|f| f.severity == Severity::Error)
    }
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|f| f.severity == Severity::Warning)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, x) in self.0.iter().enumerate() {
            let word = if x.severity == Severity::Error { "error" } else { "warning" };
            write!(f, "{}{word} {}: {}", if i > 0 { "\n" } else { "" }, x.pointer, x.message)?;
        }
        Ok(())
    }
}

/// Longest span of a contact policy: `decide` remembers contacts for 366 days, beyond which nothing can be compared.
pub(crate) const POLICY_DAYS_MAX: u16 = 366;
/// Longest id, name, code, keyword and template, in characters: what a table column, a URL and ten segments hold.
const SLUG_MAX: usize = 64;
const NAME_MAX: usize = 120;
const TEXT_MAX: usize = 1600;

/// Judges `def` for `tenant` without data. The condition's types, template fields and segments are `app`'s to judge.
pub fn check_def(def: &CampaignDef, tenant: &TenantConfig) -> Findings {
    let mut f = Findings::default();
    let policy = tenant.policy_of(def);
    words(&mut f, def);
    money(&mut f, def, tenant);
    audience(&mut f, def);
    creatives(&mut f, def, tenant);
    channel(&mut f, def, tenant);
    dates(&mut f, def, tenant);
    waves(&mut f, def, tenant, &policy);
    measure(&mut f, def, tenant);
    overrides(&mut f, def, tenant);
    f
}

/// Lower-case letters, digits and single `-` or `_` inside, at most 64.
pub fn is_slug(s: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = s.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= SLUG_MAX
        && bytes.iter().all(|&b| inner(b) || b == b'-' || b == b'_')
        && inner(bytes[0])
        && inner(bytes[bytes.len() - 1])
}

fn slug(f: &mut Findings, pointer: &str, s: &str) {
    if !is_slug(s) {
        let shown: String = s.chars().take(80).collect();
        f.error(pointer, format!("`{shown}` is no id; use 1–64 of a–z, 0–9, - and _, such as ring-back-tone"));
    }
}

fn name(f: &mut Findings, pointer: &str, s: &str) {
    let n = s.chars().count();
    if s.trim().is_empty() {
        f.error(pointer, "the name is blank");
    } else if n > NAME_MAX {
        f.error(pointer, format!("{n} characters, more than the {NAME_MAX} that a table shows"));
    }
}

fn words(f: &mut Findings, def: &CampaignDef) {
    slug(f, "/id", &def.id);
    name(f, "/name/zh", &def.name.zh);
    name(f, "/name/en", &def.name.en);
    slug(f, "/offer/code", &def.offer.code);
    name(f, "/offer/name/zh", &def.offer.name.zh);
    name(f, "/offer/name/en", &def.offer.name.en);
    if def.goal.target == 0 {
        f.error("/goal/target", "the target is 0; say how many orders would be a success");
    }
    if def.priority > 1000 {
        f.error("/priority", format!("{} is past 1000", def.priority));
    }
}

fn money(f: &mut Findings, def: &CampaignDef, tenant: &TenantConfig) {
    let b = &def.budget;
    if b.currency != tenant.currency {
        f.error("/budget/currency", format!("{} is not the tenant's currency {}", b.currency, tenant.currency));
    }
    if b.amount.0 <= 0 {
        f.error("/budget/amount", format!("a budget of {} buys nothing; state what may be spent", b.amount));
    }
    if b.cost_per_contact.0 < 0 {
        f.error("/budget/cost_per_contact", format!("a contact cannot cost {}", b.cost_per_contact));
    } else if b.cost_per_contact.0 == 0 {
        f.warning("/budget/cost_per_contact", "a contact costs 0, so the budget never ends the campaign");
    } else if b.amount.0 > 0 && b.amount < b.cost_per_contact {
        f.error("/budget/amount", format!("{} does not pay for one contact of {}", b.amount, b.cost_per_contact));
    }
    if def.offer.price.0 < 0 {
        f.error("/offer/price", format!("a price cannot be {}", def.offer.price));
    }
    if def.offer.margin > def.offer.price {
        f.warning("/offer/margin", format!("the margin {} is above the price {}", def.offer.margin, def.offer.price));
    }
}

fn audience(f: &mut Findings, def: &CampaignDef) {
    match (&def.audience.condition, &def.audience.list) {
        (Some(_), Some(_)) => f.error("/audience", "give a condition or a list, not both"),
        (None, None) => f.error("/audience", "give a condition or a list"),
        (Some(Condition::Text(t)), None) if t.trim().is_empty() => {
            f.error("/audience/condition", "the condition is blank; everybody is written `everyone`");
        }
        (None, Some(list)) => slug(f, "/audience/list", list),
        _ => {}
    }
}

fn creatives(f: &mut Findings, def: &CampaignDef, tenant: &TenantConfig) {
    if def.creatives.is_empty() {
        f.error("/creatives", "a campaign without a creative has nothing to say");
    }
    for (i, c) in def.creatives.iter().enumerate() {
        let at = |field: &str| format!("/creatives/{i}/{}", escape(field));
        let n = c.text.chars().count();
        if c.text.trim().is_empty() {
            f.error(&at("text"), "the text is blank");
        } else if n > TEXT_MAX {
            f.error(&at("text"), format!("{n} characters, more than the {TEXT_MAX} that ten segments hold"));
        }
        slug(f, &at("family"), &c.family);
        if def.creatives[..i].iter().any(|d| d.lang == c.lang) {
            f.error(&at("lang"), format!("a second creative in `{}`: which one would a subscriber get?", c.lang));
        }
        if c.family != def.creatives[0].family {
            f.error(
                &at("family"),
                format!(
                    "`{}` differs from `{}`: the languages of one message are one family",
                    c.family, def.creatives[0].family
                ),
            );
        }
        if let Some(word) = def.offer.keyword.as_ref().filter(|w| !names(&c.text, w)) {
            f.error(&at("text"), format!("the text does not name the keyword `{word}` with which it is ordered"));
        }
        let hinted = tenant.replies.opt_out.iter().any(|w| names(&c.text, w));
        if def.class == CampaignClass::Marketing && !hinted {
            let words = tenant.replies.opt_out.join(", ");
            f.error(&at("text"), format!("a marketing text must say how to opt out: name one of {words}"));
        }
    }
    if !def.creatives.is_empty() && def.creative(tenant.language).is_none() {
        f.error("/creatives", format!("no creative in the tenant's language `{}`", tenant.language));
    }
    if let Some(word) = &def.offer.keyword {
        if word.trim() != word || word.is_empty() || word.chars().count() > 20 {
            f.error("/offer/keyword", "a keyword is 1–20 characters without blanks around it");
        }
        if tenant.replies.opt_out.iter().any(|o| o.eq_ignore_ascii_case(word)) {
            f.error("/offer/keyword", format!("`{word}` opts out: nobody could order with it"));
        }
    }
}

/// Whether `text` shows `word` as a word of its own: the T of RBT does not tell anybody to reply T.
fn names(text: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let open = |at: usize| {
        let (before, after) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        !(inside(word.chars().next()) && inside(before) || inside(word.chars().next_back()) && inside(after))
    };
    !word.is_empty() && text.match_indices(word).any(|(at, _)| open(at))
}

fn channel(f: &mut Findings, def: &CampaignDef, tenant: &TenantConfig) {
    if tenant.channel(def.channel).is_none() {
        let known: Vec<_> = tenant.channels.iter().map(|c| c.channel.name()).collect();
        f.error("/channel", format!("the tenant has no channel `{}`; it has {}", def.channel, known.join(", ")));
    }
    if let Some(s) = def.sender.as_ref().filter(|s| !tenant.numbers.short_codes.contains(s)) {
        f.error("/sender", format!("`{s}` is none of the tenant's short codes, so replies to it would be nobody's"));
    }
    let max = tenant.limits.segments_max;
    if def.channel == Channel::Sms && !(1..=max).contains(&def.max_segments) {
        f.error("/max_segments", format!("{} is outside 1–{max}", def.max_segments));
    }
}

fn dates(f: &mut Findings, def: &CampaignDef, tenant: &TenantConfig) {
    if def.end <= def.start {
        f.error("/end", format!("{} is not after the start {}", def.end, def.start));
    }
    let days = i64::from(def.end.day().0) - i64::from(def.start.day().0);
    if days > i64::from(tenant.limits.days_max) {
        f.error("/end", format!("{days} days after the start, more than the {} allowed", tenant.limits.days_max));
    }
    for (at, t) in [("/start", def.start), ("/end", def.end)] {
        if t.instant(&tenant.tz()).is_none() {
            f.error(at, format!("{t} is outside the calendar"));
        }
    }
}

/// What can be judged of a trigger without knowing events, areas and lists.
fn trigger(f: &mut Findings, t: &TriggerDef, policy: &ContactPolicy) {
    if let Some(e) = &t.earlier
        && e.count.is_none() == e.sequence.is_empty()
    {
        f.error("/trigger/earlier", "give a count or a sequence, one of them");
    }
    if let Some(then) = &t.then {
        let given = [then.wait.is_some(), then.dwell.is_some(), then.absence.is_some()];
        if given.iter().filter(|g| **g).count() != 1 {
            f.error("/trigger/then", "give wait, dwell or absence, one of them");
        }
        if then.dwell.is_some() && t.on.area.is_none() {
            f.error("/trigger/then/dwell", "a dwell is in an area; name it in /trigger/on/area");
        }
    }
    if let Some(p) = &t.peer
        && p.list.is_none()
        && p.not_list.is_none()
        && p.condition.is_none()
    {
        f.error("/trigger/peer", "say what must hold of the peer: list, not_list or condition");
    }
    for (i, w) in t.windows.iter().enumerate() {
        let at = format!("/trigger/windows/{i}");
        if policy.quiet_hours.iter().any(|q| covers(q, w)) {
            f.error(&at, format!("the window {w} lies inside the quiet hours: nothing could ever be sent"));
        }
    }
}

/// Whether every minute of `inner` is in `outer`.
fn covers(outer: &DayWindow, inner: &DayWindow) -> bool {
    let has = |w: &DayWindow, m: u16| {
        let (from, to) = (w.from.minutes() % 1440, w.to.minutes() % 1440);
        if from < to { (from..to).contains(&m) } else { m >= from || m < to }
    };
    (0..1440).filter(|&m| has(inner, m)).all(|m| has(outer, m))
}

fn waves(f: &mut Findings, def: &CampaignDef, tenant: &TenantConfig, policy: &ContactPolicy) {
    let max = usize::from(tenant.limits.waves_max);
    if let Some(t) = &def.trigger {
        if !def.waves.is_empty() {
            f.error("/waves", "a campaign has waves or a trigger, not both; make two campaigns");
        }
        trigger(f, t, policy);
    } else if def.waves.is_empty() {
        f.error("/waves", "a campaign needs a wave or a trigger");
    } else if def.waves.len() > max {
        f.error("/waves", format!("{} waves, more than the {max} allowed", def.waves.len()));
    }
    let mut seen = BTreeSet::new();
    for (i, w) in def.waves.iter().enumerate() {
        let at = |field: &str| format!("/waves/{i}/{field}");
        if w.no == 0 {
            f.error(&at("no"), "waves are numbered from 1");
        }
        if !seen.insert(w.no) {
            f.error(&at("no"), format!("wave {} is there twice", w.no));
        }
        let last = def.not_after(w);
        if w.start < def.start || w.start >= def.end {
            f.error(&at("start"), format!("{} is outside the campaign's {} to {}", w.start, def.start, def.end));
        }
        if let Some(limit) = w.not_after {
            if limit <= w.start {
                f.error(&at("not_after"), format!("{limit} is not after the wave's start {}", w.start));
            }
            if limit > def.end {
                f.warning(&at("not_after"), format!("{limit} is after the campaign's end {}, which rules", def.end));
            }
        }
        if w.window.is_some_and(|win| win.from == win.to) {
            f.error(&at("window"), "the window is empty");
        } else if w.start < last && !can_send(w, last, tenant, policy) {
            f.error(&at("start"), closed(w, last, policy));
        }
    }
}

fn closed(w: &WaveDef, last: LocalTime, policy: &ContactPolicy) -> String {
    let quiet: Vec<_> = policy.quiet_hours.iter().map(ToString::to_string).collect();
    let window = w.window.map(|x| format!(", window {x}")).unwrap_or_default();
    let holidays = if policy.send_on_holidays { "" } else { " or on holidays" };
    format!(
        "nothing could be sent from {} to {last}{window}: all of it is in quiet hours ({}){holidays}",
        w.start,
        quiet.join(", ")
    )
}

/// Whether any minute from the wave's start to `last` lies in its window, outside quiet hours and holidays.
/// Three hundred and sixty-six days are the most a campaign may have; each day's open minutes are the same.
fn can_send(w: &WaveDef, last: LocalTime, tenant: &TenantConfig, policy: &ContactPolicy) -> bool {
    let open = |m: u16| w.window.is_none_or(|win| win.contains(m)) && !policy.quiet_hours.iter().any(|q| q.contains(m));
    let open_minutes: Vec<u16> = (0..1440).filter(|&m| open(m)).collect();
    let (first_day, last_day) = (w.start.day(), last.day());
    let (from, to) = (w.start.day_time().minutes(), last.day_time().minutes());
    (first_day.0..=last_day.0.min(first_day.0.saturating_add(800))).any(|d| {
        let day = kairos_model::LocalDay(d);
        let holiday = !policy.send_on_holidays && tenant.holiday(day).is_some();
        let reached = |m: u16| (day > first_day || m >= from) && (day < last_day || m < to);
        !holiday && open_minutes.iter().any(|&m| reached(m))
    })
}

fn measure(f: &mut Findings, def: &CampaignDef, tenant: &TenantConfig) {
    let (share, max) = (def.control.share, tenant.limits.control_percent_max);
    let reason = def.control.reason.as_ref().map(|r| r.trim()).filter(|r| !r.is_empty());
    match (share.ppm(), reason) {
        (0, None) => f.error("/control/reason", "without a control group nothing is proved; say why there is none"),
        (0, Some(_)) => f.warning("/control/share", "no control group: the report will show no uplift"),
        (_, Some(_)) => f.error("/control/reason", "a reason belongs to a control share of 0% only"),
        (ppm, None) if ppm > u32::from(max) * 10_000 => {
            f.error("/control/share", format!("{share} is above the {max}% allowed"));
        }
        _ => {}
    }
    let uplift = def.smallest_worthwhile_uplift.ppm();
    if uplift == 0 || uplift == 1_000_000 {
        f.error("/smallest_worthwhile_uplift", "state percentage points above 0% and below 100%");
    }
    let max = tenant.limits.success_window_days_max;
    if def.success_window_days == 0 || def.success_window_days > max {
        f.error("/success_window_days", format!("{} is outside 1–{max}", def.success_window_days));
    }
    let max = tenant.limits.hold_days_max;
    if def.hold_days > max {
        f.error("/hold_days", format!("{} days are more than the {max} allowed", def.hold_days));
    }
}

/// Marketing may tighten its class's policy, never loosen it; care and public interest may, before the approver's eyes.
fn overrides(f: &mut Findings, def: &CampaignDef, tenant: &TenantConfig) {
    let (own, class) = (&def.policy, tenant.policy(def.class));
    policy_days(f, "/policy/same_message_days", own.same_message_days.unwrap_or(0));
    policy_days(f, "/policy/other_campaign_days", own.other_campaign_days.unwrap_or(0));
    let mut loose = Vec::new();
    if let Some(d) = own.same_message_days.filter(|d| *d < class.same_message_days) {
        loose.push(("same_message_days", format!("{d} days instead of {}", class.same_message_days)));
    }
    if let Some(d) = own.other_campaign_days.filter(|d| *d < class.other_campaign_days) {
        loose.push(("other_campaign_days", format!("{d} days instead of {}", class.other_campaign_days)));
    }
    if let Some(q) = &own.quiet_hours {
        quiet_hours(f, "/policy/quiet_hours", q);
        let covers = |m: u16| q.iter().any(|w| w.contains(m));
        if let Some(m) = (0..1440).find(|&m| class.quiet_hours.iter().any(|w| w.contains(m)) && !covers(m)) {
            let at = DayTime::from_minutes(m).unwrap_or(DayTime::START);
            loose.push(("quiet_hours", format!("{at} would no longer be quiet")));
        }
    }
    if own.send_on_holidays == Some(true) && !class.send_on_holidays {
        loose.push(("send_on_holidays", "it would send on holidays".to_owned()));
    }
    for (field, what) in loose {
        let severity = if def.class == CampaignClass::Marketing { Severity::Error } else { Severity::Warning };
        f.push(
            severity,
            &format!("/policy/{field}"),
            format!("looser than the tenant's policy for {}: {what}", def.class),
        );
    }
}

pub(crate) fn policy_days(f: &mut Findings, pointer: &str, days: u16) {
    if days > POLICY_DAYS_MAX {
        f.error(pointer, format!("{days} days are more than the {POLICY_DAYS_MAX} for which contacts are remembered"));
    }
}

/// A day must keep an open minute.
pub(crate) fn quiet_hours(f: &mut Findings, pointer: &str, hours: &[DayWindow]) {
    if hours.len() > 24 {
        f.error(pointer, "more than 24 stretches in one day");
    } else if (0..1440).all(|m| hours.iter().any(|w| w.contains(m))) {
        f.error(pointer, "the whole day is quiet: nothing could ever be sent");
    }
}
