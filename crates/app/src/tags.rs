//! The tag catalogue of an open directory, with its areas and lists, and its snapshots.

use crate::{
    app::App,
    definitions::Definitions,
    error::{AppError, Context, Kind, Result},
};
use kairos_lake::{Sets, TagCatalogue};
use kairos_model::{Currency, Timestamp};
use std::sync::{Arc, PoisonError};

impl App {
    /// The catalogue as it is now: a list that is loaded, or expires, makes a new one.
    pub fn tags(&self) -> Arc<TagCatalogue> {
        let (tags, until) = self.tags.read().unwrap_or_else(PoisonError::into_inner).clone();
        if until.is_none_or(|t| self.now() < t) {
            return tags;
        }
        match self.reload_sets() {
            Ok(made) => made,
            Err(e) => {
                tracing::error!(error = %e, "areas and lists cannot be read again");
                tags
            }
        }
    }

    /// The catalogue with the lists as they were at a time.
    pub(crate) fn tags_at(&self, at: Timestamp) -> Result<Arc<TagCatalogue>> {
        if at >= self.now() {
            return Ok(self.tags());
        }
        Ok(Arc::new(load_tags(&self.definitions, self.currency, self.sets(at)?.sets)?))
    }

    /// Takes areas and lists anew.
    pub(crate) fn reload_sets(&self) -> Result<Arc<TagCatalogue>> {
        let mut kept = self.tags.write().unwrap_or_else(PoisonError::into_inner);
        let named = self.sets(self.now())?;
        let made = Arc::new(load_tags(&self.definitions, self.currency, named.sets)?);
        *kept = (made.clone(), named.until);
        Ok(made)
    }

    /// Computes a tag snapshot; only what changed is recomputed.
    pub async fn compute_tags(&self, as_of: Timestamp) -> Result<TagsComputed> {
        let report =
            self.lake
                .compute_tags(&self.tags(), as_of, self.now())
                .await
                .or_fail(Kind::Failure, "tags", || "the tags cannot be computed".to_owned())?;
        // questions are asked of the index: it is there before the first one
        let id = report.snapshot.id();
        let lake = self.lake.clone();
        tokio::task::spawn_blocking(move || lake.index(id).map(drop))
            .await
            .map_err(|e| AppError::failure("internal", "indexing ended in a panic").because(e))?
            .or_fail(Kind::Failure, "index", || format!("cannot index snapshot {}", id.0))?;
        Ok(TagsComputed {
            snapshot: report.snapshot.id().0,
            as_of: report.snapshot.as_of(),
            subscribers: report.snapshot.subscribers(),
            new: report.new,
            computed: report.computed.len(),
            reused: report.snapshot.tags.len() - report.computed.len(),
        })
    }

    /// Plans every tag on the tables. `Invalid` with each fault: file and tag as its place.
    pub async fn check_tags(&self) -> Result<()> {
        let problems = self
            .lake
            .check_tags(&self.tags())
            .await
            .or_fail(Kind::Unavailable, "tags", || "the tags cannot be planned on the tables".to_owned())?;
        if problems.is_empty() {
            return Ok(());
        }
        let details = problems
            .iter()
            .map(|p| (format!("{}, `{}`, {}", p.file, p.id, p.field), format!("{}; {}", p.what, p.remedy)))
            .collect();
        let message = format!("the tag catalogue is not valid: {} fault(s)", problems.len());
        Err(AppError::invalid("tag_catalogue", message).with_details(details))
    }

    /// The error for a tag that is not in the catalogue, with the nearest that is.
    pub fn unknown_tag(&self, id: &str) -> AppError {
        let tags = self.tags();
        let near = kairos_model::near::nearest(id, tags.defs().iter().map(|d| d.info.id.as_str()));
        let hint = near.map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        AppError::not_found("tag", format!("unknown tag `{id}`{hint}"))
    }
}

/// What a run over the tags did.
#[derive(Clone, Copy, Debug)]
pub struct TagsComputed {
    pub snapshot: u32,
    pub as_of: Timestamp,
    pub subscribers: u64,
    /// Whether there is a new snapshot; else nothing had changed.
    pub new: bool,
    pub computed: usize,
    pub reused: usize,
}

/// The tag catalogue of the definitions.
pub fn load_tags(definitions: &Definitions, currency: Currency, sets: Sets) -> Result<TagCatalogue> {
    let files: Vec<(String, String)> =
        definitions.under("tags/").map(|(name, text)| (definitions.shown(name), text.to_owned())).collect();
    TagCatalogue::parse(&files, currency, sets)
        .or_fail(Kind::Invalid, "tag_catalogue", || "the tag catalogue is not valid".to_owned())
}
