//! `custody audit query --reveal`: events with their sealed values open. The owner records who looked, at what and why,
//! before anything is shown.

use audit::vault::{MAX_REVEALED, Revealed, VaultAnswer, VaultCall};
use audit::{Filter, Found};

use super::super::Context;
use super::keys::unexpected;
use super::lines::{LineArgs, Page};
use crate::failure::Outcome;
use crate::recorder::failure;

/// Prints what the filter finds, opened as far as its keys are there.
pub(super) fn run(filter: &Filter, reason: &str, lines: &LineArgs, context: &Context) -> Outcome {
    let session = context.session()?;
    let mut indices = Vec::new();
    let mut sink = |found: Found| {
        indices.push(found.index);
        Ok(())
    };
    session.query(filter, &mut sink).map_err(failure)?;
    let mut page = Page::new(context, lines);
    for indices in indices.chunks(MAX_REVEALED) {
        let call = VaultCall::Reveal { reason: reason.to_owned(), indices: indices.to_vec() };
        let shown = match session.vault(&call).map_err(failure)? {
            VaultAnswer::Revealed(shown) => shown,
            other => return Err(unexpected(&other)),
        };
        for Revealed { index, event, .. } in shown {
            page.add(&Found { index, stored: event.into_bytes() }).map_err(failure)?;
        }
    }
    page.flush()
}
