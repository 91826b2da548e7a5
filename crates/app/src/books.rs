//! Playbooks: what the catalog approved, compiled to what `decide` reads. A book file is written whole and never changed.

use crate::{
    campaigns::{Transport, transport},
    dir::write_atomic,
    error::{AppError, Context, Kind, Result},
    triggers::{self, Names},
};
use kairos_catalog::{self as catalog, CampaignDef, DayWindow, TenantConfig};
use kairos_decide::{
    Campaign, ChannelCapacity, ContactPolicy, FamilyId, MinuteRange, Playbook, QuietHours, RunState, Share,
    TenantPolicy, UnknownConsent,
};
use kairos_model::{CampaignId, CampaignVersion, Money, PlaybookId, Span};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};

/// Begins the last line of a book file.
const SUM: &str = "blake3 ";

/// A campaign as the catalog approved it, with the numbers and salts that never change.
#[derive(Clone, Serialize, Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BookCampaign {
    pub id: u32,
    pub version: u32,
    pub salt: u64,
    pub holdout_salt: Option<u64>,
    /// `approved`, `running`, `paused`, `stopped`.
    pub run: String,
    /// Whether it keeps its audience from lower priorities.
    pub hold: bool,
    /// What the names of its trigger stand for.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
    pub def: CampaignDef,
}

/// The source of one playbook: everything that its compilation reads.
#[derive(Clone, Serialize, Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BookFile {
    pub format: u32,
    pub id: u32,
    pub kill: bool,
    pub tenant: TenantConfig,
    pub campaigns: Vec<BookCampaign>,
}

/// The creative family's number: a fixed hash of its name.
pub fn family_id(name: &str) -> FamilyId {
    let h = blake3::hash(name.as_bytes());
    let b = h.as_bytes();
    FamilyId(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

impl BookFile {
    /// 2: a last line with the sum. 1 is still read.
    pub const FORMAT: u32 = 2;

    pub fn file_name(id: PlaybookId) -> String {
        format!("{:08}.book", id.0)
    }
    /// Writes the file: JSON that a person can read, and a last line with its BLAKE3.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let mut text =
            serde_json::to_string_pretty(self).or_fail(Kind::Failure, "internal", || "playbook".to_owned())?;
        let sum = blake3::hash(text.as_bytes());
        text.push_str(&format!("\n{SUM}{}\n", sum.to_hex()));
        write_atomic(&folder.join(Self::file_name(PlaybookId(self.id))), text.as_bytes())
    }
    /// Reads and checks a file of this format or of format 1, which had no sum.
    pub fn load(folder: &Path, id: PlaybookId) -> Result<Self> {
        let path = folder.join(Self::file_name(id));
        let text = std::fs::read_to_string(&path).or_fail(Kind::Unavailable, "playbook_missing", || {
            format!("cannot read the playbook `{}` that the journal names", path.display())
        })?;
        let broken = || format!("`{}` is damaged; restore it from a backup", path.display());
        let (json, sum) = match text.rsplit_once(&format!("\n{SUM}")) {
            Some((json, sum)) => (json, Some(sum.trim_end())),
            None => (text.as_str(), None),
        };
        if sum.is_some_and(|sum| blake3::hash(json.as_bytes()).to_hex().as_str() != sum) {
            return Err(AppError::failure("playbook_broken", broken()));
        }
        let any: serde_json::Value = serde_json::from_str(json).or_fail(Kind::Failure, "playbook_broken", broken)?;
        let format = any.get("format").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if format > u64::from(Self::FORMAT) {
            return Err(AppError::failure(
                "playbook_newer",
                format!("`{}` has format {format}, this program knows up to {}", path.display(), Self::FORMAT),
            ));
        }
        if (format >= 2) != sum.is_some() {
            return Err(AppError::failure("playbook_broken", broken()));
        }
        let mut book: Self = serde_json::from_value(any).or_fail(Kind::Failure, "playbook_broken", broken)?;
        book.format = Self::FORMAT;
        Ok(book)
    }

    /// Compiles; deterministic in the file's content.
    pub fn compile(&self) -> Result<Playbook> {
        let zone = self.tenant.tz();
        let mut tenant = TenantPolicy::new(zone);
        for holiday in &self.tenant.holidays {
            let mut day = holiday.from;
            while day <= holiday.to {
                tenant.holidays.insert(day);
                day = day.plus_days(1);
            }
        }
        for c in &self.tenant.channels {
            let per_day = Some(u32::try_from(c.per_day).unwrap_or(u32::MAX));
            // what leaves as files has days, no seconds
            let per_second = (transport(c.channel) != Some(Transport::File)).then_some(c.per_second);
            tenant.channels.insert(c.channel, ChannelCapacity { per_second, per_day });
        }
        let campaigns = self.campaigns.iter().map(|c| self.campaign(c)).collect::<Result<Vec<_>>>()?;
        let mut book =
            Playbook::new(PlaybookId(self.id), tenant, campaigns)
                .or_fail(Kind::Failure, "playbook_invalid", || format!("playbook {} does not compile", self.id))?;
        book.kill = self.kill;
        Ok(book)
    }

    fn campaign(&self, c: &BookCampaign) -> Result<Campaign> {
        let (def, zone) = (&c.def, self.tenant.tz());
        let instant = |t: catalog::LocalTime| {
            t.instant(&zone).ok_or_else(|| {
                AppError::invalid("time", format!("campaign `{}`: the time {t} is outside the calendar", def.id))
            })
        };
        let run = match c.run.as_str() {
            "running" => RunState::Running,
            "paused" => RunState::Paused,
            "stopped" => RunState::Stopped,
            _ => RunState::Approved,
        };
        let currency = def.budget.currency;
        let family = def.creatives.first().map_or("", |c| c.family.as_str());
        Ok(Campaign {
            id: CampaignId(c.id),
            version: CampaignVersion(c.version),
            class: def.class,
            // a definition's higher number goes first; the playbook's lower one does
            priority: u32::from(u16::MAX - def.priority),
            family: family_id(family),
            channel: def.channel,
            treatments: 1,
            hold: c.hold,
            control: Share { ppm: def.control_share().ppm(), salt: c.salt },
            holdout: c.holdout_salt.map(|salt| Share { ppm: self.tenant.holdout.share.ppm(), salt }),
            start: instant(def.start)?,
            end: instant(def.end)?,
            cost: def.budget.cost_per_contact.money(currency),
            budget: Some(Money::micros(def.budget.amount.0, currency)),
            policy: self.policy(def)?,
            run,
            trigger: triggers::of_book(c)?.map(Arc::new),
        })
    }

    fn policy(&self, def: &CampaignDef) -> Result<ContactPolicy> {
        let p = self.tenant.policy_of(def);
        let mut quiet: Vec<MinuteRange> = p.quiet_hours.iter().map(range).collect();
        // a wave's daily window: the rest of the day is quiet for this campaign
        if let Some(window) = def.waves.iter().find_map(|w| w.window) {
            let inside = range(&window);
            quiet.push(MinuteRange { from: inside.to, to: inside.from });
        }
        quiet.retain(|r| r.from != r.to);
        let quiet = QuietHours::new(quiet).ok_or_else(|| {
            AppError::invalid("quiet_hours", format!("campaign `{}`: the quiet hours are not ranges of a day", def.id))
        })?;
        Ok(ContactPolicy {
            same_message: Span::days(i64::from(p.same_message_days)),
            other_campaign: Span::days(i64::from(p.other_campaign_days)),
            quiet,
            holidays: !p.send_on_holidays,
            do_not_disturb: true,
            unknown_consent: match p.unknown_consent {
                catalog::UnknownConsent::Deny => UnknownConsent::Deny,
                catalog::UnknownConsent::Allow => UnknownConsent::Allow,
            },
        })
    }
}

fn range(w: &DayWindow) -> MinuteRange {
    MinuteRange { from: w.from.minutes() % 1440, to: w.to.minutes() % 1440 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as programs of each format wrote them: they are on disks, and must be read for ever.
    #[test]
    fn books_of_every_format_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let one = BookFile::load(&folder, PlaybookId(1)).unwrap();
        assert_eq!((one.format, one.campaigns.len()), (BookFile::FORMAT, 1));
        assert_eq!(one.compile().unwrap().campaigns()[0].id, CampaignId(1));
        let two = BookFile::load(&folder, PlaybookId(2)).unwrap();
        let book = two.compile().unwrap();
        let c = &book.campaigns()[0];
        assert_eq!(
            (book.campaigns().len(), c.id, c.version, c.run),
            (1, CampaignId(3), CampaignVersion(2), RunState::Paused)
        );
        assert_eq!((c.control.salt, c.holdout.map(|h| h.salt)), (0x5a17, Some(7)));
        // what is written is read as it was
        let temp = tempfile::tempdir().unwrap();
        two.save(temp.path()).unwrap();
        let name = BookFile::file_name(PlaybookId(2));
        assert_eq!(std::fs::read(temp.path().join(&name)).unwrap(), std::fs::read(folder.join(&name)).unwrap());
    }

    #[test]
    fn a_changed_byte_a_lost_line_and_a_newer_format_are_seen() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let text = std::fs::read_to_string(folder.join(BookFile::file_name(PlaybookId(2)))).unwrap();
        let temp = tempfile::tempdir().unwrap();
        let code = |text: String| {
            std::fs::write(temp.path().join(BookFile::file_name(PlaybookId(2))), text).unwrap();
            BookFile::load(temp.path(), PlaybookId(2)).err().map(|e| e.code)
        };
        assert_eq!(code(text.clone()), None);
        assert_eq!(code(text.replace("\"paused\"", "\"paucsd\"")), Some("playbook_broken"));
        assert_eq!(code(text.rsplit_once("\nblake3").unwrap().0.to_owned()), Some("playbook_broken"));
        let newer = text.rsplit_once("\nblake3").unwrap().0.replace("\"format\": 2", "\"format\": 3");
        assert_eq!(
            code(format!("{newer}\nblake3 {}\n", blake3::hash(newer.as_bytes()).to_hex())),
            Some("playbook_newer")
        );
    }
}
