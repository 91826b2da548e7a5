//! Who? Conditions over the newest tag snapshot: count clause by clause, extract, freeze.

use crate::{
    app::App,
    error::{AppError, Context, Kind, Result},
};
use kairos_catalog as catalog;
use kairos_lake::{Audience, LakeError, Snapshot, Step, TagCatalogue};
use kairos_model::{SnapshotId, Timestamp};
use kairos_rules::{Condition, Lang, Node, Problems, explain, explain_clause};
use roaring::RoaringBitmap;

/// What one clause does to the audience.
#[derive(Clone, Debug, PartialEq)]
pub struct FunnelStep {
    /// The clause as a sentence.
    pub clause: String,
    pub text: String,
    /// How many satisfy this clause alone.
    pub alone: u64,
    /// How many are left after it and all before it.
    pub left: u64,
    /// How many satisfy every other clause and not this one: what dropping it would add.
    pub only: u64,
}

/// The answer to "how many?".
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    pub condition: String,
    pub sentence: String,
    pub snapshot: SnapshotId,
    pub as_of: Timestamp,
    pub everyone: u64,
    pub count: u64,
    pub funnel: Vec<FunnelStep>,
}

impl App {
    /// Parses a condition against the tag catalogue: readable text, or a JSON tree if it begins with `{`.
    pub fn condition(&self, text: &str) -> Result<Condition> {
        let tags = self.tags();
        let parsed = if text.trim_start().starts_with('{') {
            let json = serde_json::from_str(text)
                .or_fail(Kind::Invalid, "condition_json", || "the condition is no JSON".to_owned())?;
            Condition::from_json(&json, &*tags)
        } else {
            Condition::parse(text, &*tags)
        };
        parsed.map_err(|p| condition_error(&p))
    }

    /// The condition of a campaign.
    pub fn condition_of(&self, def: &catalog::CampaignDef) -> Result<Condition> {
        match &def.audience.condition {
            Some(catalog::Condition::Text(text)) => self.condition(text),
            Some(catalog::Condition::Tree(tree)) => self.condition(&tree.to_string()),
            // a stored list is a condition of one clause
            None => match &def.audience.list {
                Some(list) => self.condition(&format!("subscriber in list \"{list}\"")),
                None => Err(AppError::invalid("audience", format!("campaign `{}` names no audience", def.id))),
            },
        }
    }

    /// The newest snapshot's number and time.
    pub fn snapshot(&self) -> Result<(SnapshotId, Timestamp)> {
        self.snapshot_at(self.now())
    }

    /// Number and time of the newest snapshot that describes a time up to `at`.
    pub fn snapshot_at(&self, at: Timestamp) -> Result<(SnapshotId, Timestamp)> {
        match self.latest_snapshot(at)? {
            Some(s) => Ok((s.id(), s.as_of())),
            None if self.latest_snapshot(self.now())?.is_some() => Err(AppError::not_found(
                "no_snapshot",
                format!(
                    "no tag snapshot describes a time up to {}; `kairos tag compute --as-of TIME` makes one",
                    self.zone.civil(at).strftime("%Y-%m-%dT%H:%M:%S")
                ),
            )),
            None => Err(AppError::conflict(
                "no_snapshot",
                "there is no tag snapshot yet; import the operator's files, then run `kairos tag compute`",
            )),
        }
    }

    /// The newest snapshot that describes a time up to now, if there is one.
    pub fn newest_snapshot(&self) -> Result<Option<Snapshot>> {
        self.latest_snapshot(self.now())
    }

    fn latest_snapshot(&self, at: Timestamp) -> Result<Option<Snapshot>> {
        self.lake
            .latest_snapshot(at)
            .or_fail(Kind::Unavailable, "snapshot", || "cannot read the tag snapshots".to_owned())
    }

    /// Members of a condition in a snapshot, with the lists of now.
    pub fn members(&self, snapshot: SnapshotId, condition: &Condition) -> Result<RoaringBitmap> {
        self.members_with(snapshot, condition, &self.tags())
    }

    fn members_with(&self, snapshot: SnapshotId, condition: &Condition, tags: &TagCatalogue) -> Result<RoaringBitmap> {
        self.lake.select(snapshot, condition, tags.sets()).map_err(|e| refused(condition, e))
    }

    /// Counts in the newest snapshot up to `at`, and shows what each clause of the outermost `and` removes.
    pub fn count(&self, text: &str, at: Timestamp, lang: Lang) -> Result<Count> {
        let condition = self.condition(text)?;
        let tags = self.tags_at(at)?;
        let (snapshot, as_of) = self.snapshot_at(at)?;
        let found = self.lake.funnel(snapshot, &condition, tags.sets()).map_err(|e| refused(&condition, e))?;
        let mut funnel = Vec::new();
        if let Node::And(clauses) = condition.root() {
            for (node, step) in clauses.iter().zip(&found.steps) {
                let one = Condition::from_node(node, &*tags).map_err(|p| condition_error(&p))?;
                let clause = match node {
                    Node::Leaf(leaf) => explain_clause(leaf, &*tags, lang, None),
                    _ => explain(&one, &*tags, lang),
                };
                let (text, &Step { alone, left, only, .. }) = (one.text().to_owned(), step);
                funnel.push(FunnelStep { clause, text, alone, left, only });
            }
        }
        Ok(Count {
            condition: condition.text().to_owned(),
            sentence: explain(&condition, &*tags, lang),
            snapshot,
            as_of,
            everyone: found.everyone,
            count: found.count,
            funnel,
        })
    }

    /// Makes an audience immutable, as of the newest snapshot up to `at`.
    pub fn freeze(&self, condition: &Condition, at: Timestamp) -> Result<Audience> {
        let (snapshot, as_of) = self.snapshot_at(at)?;
        let members = self.members_with(snapshot, condition, &*self.tags_at(at)?)?;
        if members.is_empty() {
            let message =
                format!("nobody satisfies `{}` in snapshot {}; nothing was kept", condition.text(), snapshot.0);
            return Err(AppError::invalid("empty_audience", message));
        }
        self.lake
            .freeze(members, condition, snapshot, as_of)
            .or_fail(Kind::Unavailable, "audience", || "cannot keep the audience".to_owned())
    }

    /// The audience that an approved campaign holds: that of its launched wave, else its condition now.
    pub(crate) async fn held_audience(&self, c: &catalog::Campaign) -> Result<Option<RoaringBitmap>> {
        let waves = self.catalog.waves(&c.slug).await.map_err(crate::app::catalog_error)?;
        if let Some(wave) = waves.last() {
            let frozen =
                self.lake
                    .audience(&wave.start.audience.to_string())
                    .or_fail(Kind::Unavailable, "audience", || format!("campaign `{}`: its frozen audience", c.slug))?;
            return Ok(Some(frozen.members));
        }
        let Ok((snapshot, _)) = self.snapshot() else { return Ok(None) };
        let condition = self.condition_of(&c.def)?;
        Ok(Some(self.members(snapshot, &condition)?))
    }
}

/// Why a sound condition has no answer.
pub(crate) fn refused(condition: &Condition, e: LakeError) -> AppError {
    match e {
        // it asks for what there is not: an expired list, a tag that the snapshot lacks
        LakeError::Limit { what } => AppError::invalid("condition_refused", what),
        e @ LakeError::UnknownTag { .. } => AppError::invalid("condition_refused", e.to_string()),
        e => AppError::failure("audience", format!("cannot evaluate `{}`", condition.text())).because(e),
    }
}

/// A condition's problems, rendered with a caret under each place.
pub fn condition_error(problems: &Problems) -> AppError {
    AppError::invalid("condition", problems.render())
}
