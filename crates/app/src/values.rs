//! Tag values as text: what templates show, and the longest that they might have to.

use crate::{
    app::{App, catalog_error},
    error::{Context, Kind, Result},
    facts::SnapshotFacts,
    render::Extremes,
};
use kairos_lake::TagValue;
use kairos_model::{Currency, Money, SnapshotId, SubscriberId, WaveNo, hash::FixedMap};
use kairos_rules::TagType;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

impl App {
    /// Values of the fields for everyone in a wave's audience, as its snapshot has them.
    pub(crate) async fn audience_values(
        &self,
        slug: &str,
        wave: WaveNo,
        fields: &[String],
    ) -> Result<BTreeMap<String, FixedMap<u32, String>>> {
        let mut all: BTreeMap<String, FixedMap<u32, String>> = BTreeMap::new();
        if wave == WaveNo::MOMENT {
            // anybody's event may come next: the values of all, by the snapshot of now
            let (snapshot, _) = self.snapshot()?;
            for field in fields {
                let values = self.texts(snapshot, field, None)?;
                all.insert(field.clone(), values.into_iter().map(|(s, v)| (s.0, v)).collect());
            }
            return Ok(all);
        }
        let waves = self.catalog.waves(slug).await.map_err(catalog_error)?;
        for wave in waves.into_iter().filter(|w| w.start.wave == wave) {
            let audience =
                self.lake
                    .audience(&wave.start.audience.to_string())
                    .or_fail(Kind::Unavailable, "audience", || format!("`{slug}`: the audience of its wave"))?;
            for field in fields {
                let values = self.texts(wave.start.snapshot, field, Some(&audience.members))?;
                all.entry(field.clone()).or_default().extend(values.into_iter().map(|(s, v)| (s.0, v)));
            }
        }
        Ok(all)
    }

    /// The values of each tag in the newest snapshot that make a message longest; a placeholder where there is none yet.
    pub(crate) fn extremes(&self, tags: &[&str]) -> Result<BTreeMap<String, Extremes>> {
        let mut all = BTreeMap::new();
        let snapshot = self.snapshot().ok();
        for &tag in tags {
            let values = match snapshot {
                Some((id, _)) => self.texts(id, tag, None)?,
                None => Vec::new(),
            };
            let found = Extremes::of(values.iter().map(|(_, text)| text.as_str()));
            all.insert(tag.to_owned(), found.unwrap_or_else(|| Extremes::one("0000000000")));
        }
        Ok(all)
    }

    /// A tag's values as a subscriber would read them; NULLs are left out.
    pub(crate) fn texts(
        &self,
        snapshot: SnapshotId,
        tag: &str,
        of: Option<&RoaringBitmap>,
    ) -> Result<Vec<(SubscriberId, String)>> {
        let values = self
            .lake
            .values(snapshot, &[tag], of)
            .or_fail(Kind::Failure, "tag", || format!("cannot read the tag `{tag}`"))?;
        let money = self.tags().def(tag).is_some_and(|d| matches!(d.info.ty, TagType::Money(_)));
        let rows =
            (0..values.rows()).filter_map(|row| Some((values.subscriber(row), text(&values.get(row, 0), money)?)));
        Ok(rows.collect())
    }

    /// The facts that decisions read now; empty ones before the first refresh.
    pub(crate) async fn current_facts(&self) -> Result<SnapshotFacts> {
        self.refresh().await?;
        Ok(self.facts_in_force().await.unwrap_or_default())
    }
}

/// A value as it stands in a message: amounts with their decimals, days as dates, durations in whole minutes.
fn text(value: &TagValue, money: bool) -> Option<String> {
    Some(match value {
        TagValue::Null => return None,
        TagValue::Bool(b) => b.to_string(),
        TagValue::Int(n) => n.to_string(),
        TagValue::Micros(n) if money => Money::micros(*n, Currency::CNY).amount(),
        TagValue::Micros(n) => {
            let amount = Money::micros(*n, Currency::CNY).amount();
            amount.strip_suffix(".00").map(str::to_owned).unwrap_or(amount)
        }
        TagValue::Seconds(n) => (n / 60).to_string(),
        TagValue::Text(t) => t.clone(),
        TagValue::Set(all) => all.join(", "),
        TagValue::Day(d) => d.to_string(),
        TagValue::Cell(c) => c.0.to_string(),
    })
}
