//! Writing definitions where two authors must not undo each other: a new campaign is new, an edit names what it edits.

use crate::{
    app::{App, catalog_error},
    campaigns::Checked,
    error::{AppError, Kind, Result},
};
use kairos_catalog::{Actor, Campaign, CampaignDef, CampaignState, Severity, Step};

impl App {
    /// Keeps a definition under an id that was never used, and asks for approval. `Conflict` if the id is taken.
    pub async fn create(&self, actor: &Actor, def: CampaignDef) -> Result<(Campaign, Checked)> {
        let checked = self.sound(def).await?;
        let now = self.now();
        self.catalog.create(actor, &checked.def, &mut self.salts(), now).await.map_err(catalog_error)?;
        let campaign = self.move_on(actor, &checked.def.id, Step::Submit).await?;
        Ok((campaign, checked))
    }

    /// A new version of a campaign as it was at `revision`, submitted for approval; an approval that it had is void.
    /// `None`: it has moved on since, and nothing was changed.
    pub async fn revise(
        &self,
        actor: &Actor,
        slug: &str,
        def: CampaignDef,
        revision: u64,
    ) -> Result<Option<(Campaign, Checked)>> {
        let before = self.catalog.campaign(slug).await.map_err(catalog_error)?;
        if before.revision != revision {
            return Ok(None);
        }
        let checked = self.sound(def).await?;
        let edited = self
            .catalog
            .edit(actor, slug, &checked.def, Some(before.version), self.now())
            .await
            .map_err(catalog_error)?;
        let campaign = match edited.state {
            CampaignState::Draft { .. } => self.move_on(actor, slug, Step::Submit).await?,
            // the same content again: it is submitted or further already
            _ => edited,
        };
        if before.state.approval().is_some() {
            self.refresh().await?;
        }
        Ok(Some((campaign, checked)))
    }

    /// The approver's no.
    pub async fn reject(&self, actor: &Actor, slug: &str, reason: &str) -> Result<Campaign> {
        self.move_on(actor, slug, Step::Reject { reason: reason.to_owned() }).await
    }

    /// Takes a submission or an approval back.
    pub async fn withdraw(&self, actor: &Actor, slug: &str, reason: &str) -> Result<Campaign> {
        let campaign = self.move_on(actor, slug, Step::Withdraw { reason: reason.to_owned() }).await?;
        self.refresh().await?;
        Ok(campaign)
    }

    /// Judges a definition; `Invalid` with every finding if it has errors.
    pub(crate) async fn sound(&self, def: CampaignDef) -> Result<Checked> {
        let mut checked = self.check(def).await?;
        if self.is_over(&checked.def) {
            // nothing is kept of what the catalog would refuse to submit
            checked.findings.push(Severity::Error, "/end", format!("the end {} has passed; move it", checked.def.end));
        }
        if !checked.findings.has_errors() {
            return Ok(checked);
        }
        let details: Vec<_> = checked.findings.errors().map(|f| (f.pointer.clone(), f.message.clone())).collect();
        let message = format!("`{}` cannot be submitted: {} finding(s)", checked.def.id, details.len());
        Err(AppError::new(Kind::Invalid, "definition_findings", message).with_details(details))
    }

    async fn move_on(&self, actor: &Actor, slug: &str, step: Step) -> Result<Campaign> {
        self.catalog.step(actor, slug, &step, &self.tenant, self.now()).await.map_err(catalog_error)
    }
}
