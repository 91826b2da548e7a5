//! The immutable snapshot that a decision reads: who can be reached, who must not, who agreed, whose audience they are in.
//!
//! A facts file is written whole, named by its id and never changed: a decision names it, a replay loads it again.

use crate::{
    campaigns::transport,
    error::{AppError, Context, Kind, Result},
    frame,
};
use kairos_decide::{Consent, Facts, Layout, Listed, Matrix, Slot};
use kairos_model::{CampaignClass, CampaignId, CampaignVersion, Channel, PartyId, SnapshotId, SubscriberId};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path, sync::Arc};

const MAGIC: &[u8; 8] = b"KAIFACT1";
const CODES: frame::Codes = frame::Codes { missing: "facts_missing", broken: "facts_broken", newer: "facts_newer" };

/// Who agreed and who refused, for one purpose on one channel; in neither: unknown.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Agreement {
    pub granted: RoaringBitmap,
    pub denied: RoaringBitmap,
}

/// Facts held in memory as bitmaps of ordinals.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct SnapshotFacts {
    pub id: SnapshotId,
    /// The tag snapshot that the audiences came from.
    pub tags: Option<SnapshotId>,
    /// Subscribers with a number.
    pub reachable: RoaringBitmap,
    pub suppressed: RoaringBitmap,
    pub do_not_disturb: RoaringBitmap,
    pub consent: BTreeMap<(CampaignClass, Channel), Agreement>,
    /// Audiences of approved and running campaigns, frozen at approval.
    pub audiences: BTreeMap<CampaignId, RoaringBitmap>,
    /// Static bits of the campaigns that have a trigger.
    pub(crate) triggers: Option<Triggers>,
}

/// Who satisfies the static part of a campaign's trigger.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct TriggerBits {
    pub campaign: CampaignId,
    /// Subscribers.
    pub own: RoaringBitmap,
    /// Parties; empty where the trigger does not ask for the peer.
    pub peer: RoaringBitmap,
    /// A peer of whom nothing is known is let.
    pub unknown_peer: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Triggers {
    bits: Vec<TriggerBits>,
    /// Subscribers and foreign numbers with a row.
    rows: (u32, u32),
    matrix: Arc<Matrix>,
}

impl SnapshotFacts {
    /// Lays the bits out for a playbook.
    pub fn set_triggers(&mut self, layout: Layout, bits: Vec<TriggerBits>, rows: (u32, u32)) {
        if layout.slots().is_empty() {
            self.triggers = None;
            return;
        }
        let asks_peer = bits.iter().any(|b| b.unknown_peer || !b.peer.is_empty());
        let mut matrix = Matrix::new(layout, rows.0, if asks_peer { rows.1 } else { 0 });
        for b in &bits {
            let Some(slot) = matrix.layout().slot_of(b.campaign) else { continue };
            matrix.set_own(slot, b.own.iter().map(SubscriberId));
            matrix.set_peer(slot, b.peer.iter().map(PartyId));
            if b.unknown_peer {
                matrix.set_unknown_peer(slot);
            }
        }
        self.triggers = Some(Triggers { bits, rows, matrix: Arc::new(matrix) });
    }
}

impl Facts for SnapshotFacts {
    fn snapshot(&self) -> SnapshotId {
        self.id
    }
    fn address(&self, subscriber: SubscriberId, channel: Channel) -> bool {
        transport(channel).is_some() && self.reachable.contains(subscriber.0)
    }
    fn suppressed(&self, subscriber: SubscriberId) -> Listed {
        listed(&self.suppressed, subscriber)
    }
    fn do_not_disturb(&self, subscriber: SubscriberId) -> Listed {
        listed(&self.do_not_disturb, subscriber)
    }
    fn consent(&self, subscriber: SubscriberId, class: CampaignClass, channel: Channel) -> Consent {
        match self.consent.get(&(class, channel)) {
            Some(a) if a.denied.contains(subscriber.0) => Consent::Denied,
            Some(a) if a.granted.contains(subscriber.0) => Consent::Granted,
            _ => Consent::Unknown,
        }
    }
    fn in_audience(&self, campaign: CampaignId, subscriber: SubscriberId) -> bool {
        self.audiences.get(&campaign).is_some_and(|a| a.contains(subscriber.0))
    }
    fn matrix(&self) -> Option<&Arc<Matrix>> {
        self.triggers.as_ref().map(|t| &t.matrix)
    }
}

fn listed(list: &RoaringBitmap, subscriber: SubscriberId) -> Listed {
    if list.contains(subscriber.0) { Listed::Yes } else { Listed::No }
}

/// What stands where in the file.
#[derive(Serialize, Deserialize)]
struct Header {
    id: u32,
    tags: Option<u32>,
    /// Name and length in bytes of each bitmap, in order.
    bitmaps: Vec<(String, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    triggers: Option<TriggerHeader>,
}

/// How the bits of triggers lie.
#[derive(Serialize, Deserialize)]
struct TriggerHeader {
    /// 64 a word: campaign, version, asks own, asks peer.
    slots: Vec<Option<(u32, u32, bool, bool)>>,
    rows: (u32, u32),
    unknown_peer: Vec<u32>,
}

impl SnapshotFacts {
    pub fn file_name(id: SnapshotId) -> String {
        format!("{:08}.facts", id.0)
    }

    /// Writes the file whole: header, then the bitmaps.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let mut bitmaps: Vec<(String, &RoaringBitmap)> = vec![
            ("reachable".to_owned(), &self.reachable),
            ("suppressed".to_owned(), &self.suppressed),
            ("do_not_disturb".to_owned(), &self.do_not_disturb),
        ];
        for ((class, channel), a) in &self.consent {
            bitmaps.push((format!("granted/{class}/{channel}"), &a.granted));
            bitmaps.push((format!("denied/{class}/{channel}"), &a.denied));
        }
        for (campaign, audience) in &self.audiences {
            bitmaps.push((format!("audience/{}", campaign.0), audience));
        }
        for b in self.triggers.iter().flat_map(|t| &t.bits) {
            bitmaps.push((format!("own/{}", b.campaign.0), &b.own));
            bitmaps.push((format!("peer/{}", b.campaign.0), &b.peer));
        }
        let triggers = self.triggers.as_ref().map(|t| TriggerHeader {
            slots: t
                .matrix
                .layout()
                .slots()
                .iter()
                .map(|s| s.map(|s| (s.campaign.0, s.version.0, s.own, s.peer)))
                .collect(),
            rows: t.rows,
            unknown_peer: t.bits.iter().filter(|b| b.unknown_peer).map(|b| b.campaign.0).collect(),
        });
        let header = Header {
            triggers,
            id: self.id.0,
            tags: self.tags.map(|t| t.0),
            bitmaps: bitmaps.iter().map(|(name, b)| (name.clone(), b.serialized_size() as u64)).collect(),
        };
        let mut body = Vec::new();
        for (name, bitmap) in &bitmaps {
            bitmap.serialize_into(&mut body).or_fail(Kind::Failure, "internal", || format!("facts `{name}`"))?;
        }
        frame::save(&folder.join(Self::file_name(self.id)), MAGIC, &header, &body)
    }

    /// Reads and checks a facts file.
    pub fn load(folder: &Path, id: SnapshotId) -> Result<Self> {
        let path = folder.join(Self::file_name(id));
        let (header, body) = frame::load::<Header>(&path, MAGIC, "facts snapshot", &CODES)?;
        Self::parse(header, &body)
            .ok_or_else(|| AppError::failure("facts_broken", format!("`{}` does not read as facts", path.display())))
    }

    fn parse(header: Header, mut rest: &[u8]) -> Option<Self> {
        let mut facts = Self { id: SnapshotId(header.id), tags: header.tags.map(SnapshotId), ..Self::default() };
        let mut bits: BTreeMap<u32, TriggerBits> = BTreeMap::new();
        for (name, len) in header.bitmaps {
            let (one, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            rest = after;
            let bitmap = RoaringBitmap::deserialize_from(one).ok()?;
            match name.split_once('/') {
                Some((which @ ("own" | "peer"), campaign)) => {
                    let id: u32 = campaign.parse().ok()?;
                    let b = bits.entry(id).or_default();
                    b.campaign = CampaignId(id);
                    *(if which == "own" { &mut b.own } else { &mut b.peer }) = bitmap;
                }
                _ => facts.put(&name, bitmap)?,
            }
        }
        if let Some(t) = header.triggers {
            for id in &t.unknown_peer {
                bits.get_mut(id)?.unknown_peer = true;
            }
            let slot = |(campaign, version, own, peer)| Slot {
                campaign: CampaignId(campaign),
                version: CampaignVersion(version),
                own,
                peer,
            };
            let slots = t.slots.into_iter().map(|s| s.map(slot)).collect();
            facts.set_triggers(Layout::from_slots(slots), bits.into_values().collect(), t.rows);
        }
        Some(facts)
    }

    fn put(&mut self, name: &str, bitmap: RoaringBitmap) -> Option<()> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["reachable"] => self.reachable = bitmap,
            ["suppressed"] => self.suppressed = bitmap,
            ["do_not_disturb"] => self.do_not_disturb = bitmap,
            ["audience", campaign] => {
                self.audiences.insert(CampaignId(campaign.parse().ok()?), bitmap);
            }
            [which @ ("granted" | "denied"), class, channel] => {
                let a = self.consent.entry((class.parse().ok()?, channel.parse().ok()?)).or_default();
                *(if *which == "granted" { &mut a.granted } else { &mut a.denied }) = bitmap;
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> SnapshotFacts {
        let mut facts = SnapshotFacts { id: SnapshotId(7), tags: Some(SnapshotId(3)), ..SnapshotFacts::default() };
        facts.reachable.insert_range(0..1000);
        facts.suppressed.insert(5);
        let key = (CampaignClass::Marketing, Channel::Sms);
        facts.consent.insert(key, Agreement { granted: (0..900).collect(), denied: (900..950).collect() });
        facts.audiences.insert(CampaignId(2), [1, 5, 9].into_iter().collect());
        facts
    }

    /// A file as the first program wrote it: it is on disks, and must be read for ever.
    #[test]
    fn facts_of_every_format_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        assert_eq!(SnapshotFacts::load(&folder, SnapshotId(7)).unwrap(), some());
        let temp = tempfile::tempdir().unwrap();
        some().save(temp.path()).unwrap();
        let name = SnapshotFacts::file_name(SnapshotId(7));
        assert_eq!(std::fs::read(temp.path().join(&name)).unwrap(), std::fs::read(folder.join(&name)).unwrap());
    }

    #[test]
    fn facts_come_back_and_damage_is_seen() {
        let temp = tempfile::tempdir().unwrap();
        let (facts, key) = (some(), (CampaignClass::Marketing, Channel::Sms));
        facts.save(temp.path()).unwrap();
        let back = SnapshotFacts::load(temp.path(), SnapshotId(7)).unwrap();
        assert_eq!(back, facts);
        assert_eq!(back.consent(SubscriberId(960), key.0, key.1), Consent::Unknown);
        let path = temp.path().join(SnapshotFacts::file_name(SnapshotId(7)));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(SnapshotFacts::load(temp.path(), SnapshotId(7)).err().unwrap().code, "facts_broken");
    }
}
