//! `custody audit query --reveal`: events with their sealed values open. The owner records who looked, at what and why,
//! before anything is shown.

use audit::vault::{MAX_REVEALED, Revealed, VaultAnswer, VaultCall};
use audit::{Filter, Found};

use super::super::Context;
use super::keys::unexpected;
use crate::failure::Outcome;
use crate::recorder::failure;

/// Prints what the filter finds, opened as far as its keys are there.
pub(super) fn run(filter: &Filter, reason: &str, context: &Context) -> Outcome {
    let session = context.session()?;
    let mut indices = Vec::new();
    let mut sink = |found: Found| {
        indices.push(found.index);
        Ok(())
    };
    session.query(filter, &mut sink).map_err(failure)?;
    for indices in indices.chunks(MAX_REVEALED) {
        let call = VaultCall::Reveal { reason: reason.to_owned(), indices: indices.to_vec() };
        match session.vault(&call).map_err(failure)? {
            VaultAnswer::Revealed(shown) => {
                shown.iter().try_for_each(|revealed| print(revealed, context))?;
            }
            other => return Err(unexpected(&other)),
        }
    }
    Ok(())
}

fn print(revealed: &Revealed, context: &Context) -> Outcome {
    if context.output.json {
        return context.output.stream(&format!("{}\n", revealed.event));
    }
    let found = Found { index: revealed.index, stored: revealed.event.clone().into_bytes() };
    context.output.stream(&super::query::line(&found).map_err(failure)?)
}
