//! What is answered for an offered event, and the wait for it.

use std::sync::Arc;

use event::{EventId, InvalidComplianceEvent};

use crate::owner::{Owner, Submitted};
use crate::session::Session;
use crate::{AuditError, socket};

/// The acknowledgement of a durable event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// Its index in the ledger.
    pub index: u64,
}

/// What became of one offered event.
pub type Verdict = Result<Receipt, InvalidComplianceEvent>;

/// Events that were offered and not answered yet. Dropped without [`Pending::wait`], they may or may not be stored.
#[must_use = "an event is acknowledged only when its pending answer says so"]
pub struct Pending<'s> {
    pub(crate) session: &'s Session,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Local {
        owner: Arc<Owner>,
        submitted: Submitted,
    },
    /// The events stay here until they are answered: another owner may have to be asked again.
    Remote {
        client: Arc<socket::Client>,
        slots: Vec<u64>,
        offered: Arc<Vec<Vec<u8>>>,
    },
}

impl Pending<'_> {
    /// Waits until every event is durable or refused; answers in the order they were offered.
    ///
    /// # Errors
    /// When no answer can be had. An event may be stored all the same; offering it again under the same id is safe.
    pub fn wait(self) -> Result<Vec<Verdict>, AuditError> {
        match self.kind {
            Kind::Local { owner, submitted } => owner.settle(submitted),
            Kind::Remote { client, slots, offered } => match client.verdicts(&slots) {
                Err(AuditError::Gone) => self.session.offer_again(&client, Arc::unwrap_or_clone(offered)),
                answer => answer,
            },
        }
    }
}
