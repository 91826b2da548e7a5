//! Opt-outs that a person takes at a counter, a hotline or a page; those by reply are the channel's.

use crate::{
    app::App,
    error::{AppError, Context, Kind, Result},
};
use kairos_engine::Input;
use kairos_model::{CampaignClass, SubscriberId};
use kairos_vault::{SuppressRow, SuppressionCause};

impl App {
    /// Durable and in the gate before it returns. Without a class it is for everything, and the number held now is
    /// suppressed too, as by a reply; `true` if there was one.
    pub async fn opt_out(&self, subscriber: SubscriberId, class: Option<CampaignClass>) -> Result<bool> {
        if subscriber.0 >= self.vault.stats().subscribers {
            return Err(AppError::not_found("subscriber", format!("there is no subscriber {subscriber}")));
        }
        let now = self.now();
        let mut suppressed = false;
        if class.is_none() {
            let number = self.vault.number_of(subscriber, now).or_fail(Kind::Unavailable, "vault", || {
                format!("cannot look up the number of {subscriber}; the opt-out was not taken, try again")
            })?;
            if let Some(number) = number {
                let row = SuppressRow { number, at: now, cause: SuppressionCause::Request };
                self.vault.suppress(&[row]).or_fail(Kind::Unavailable, "vault", || {
                    format!("cannot suppress the number of {subscriber}; the opt-out was not taken, try again")
                })?;
                suppressed = true;
            }
        }
        self.runner().handle(vec![Input::OptOut { subscriber, class }]).await?;
        Ok(suppressed)
    }
}
