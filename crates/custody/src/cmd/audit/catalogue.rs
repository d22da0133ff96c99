//! `custody audit catalogue`: what events may name.

use std::fmt::Write as _;

use super::super::Context;
use crate::failure::Outcome;
use crate::recorder::failure;

pub(crate) const HELP: &str = "An operator adds actions and subject kinds in `catalogue.toml` in the home.\n\n\
                               Examples:\n  $ custody audit catalogue\n  $ custody audit catalogue --json";

/// Prints the catalogue: the standard one, and what the home adds.
pub(crate) fn run(context: &Context) -> Outcome {
    let catalogue = audit::load_catalogue(context.home.path()).map_err(failure)?;
    let document = serde_json::json!({
        "actions": catalogue.actions().collect::<Vec<_>>(),
        "subjects": catalogue.subjects().collect::<Vec<_>>(),
    });
    context.output.show(&document, |_| {
        let mut text = String::from("Actions\n");
        for entry in catalogue.actions() {
            let _ = writeln!(text, "  {:<24} {}", entry.code, entry.meaning); // a String takes everything
        }
        text.push_str("\nSubject kinds\n");
        for entry in catalogue.subjects() {
            let _ = writeln!(text, "  {:<24} {}", entry.code, entry.meaning); // as above
        }
        text
    })
}
