//! `custody pe catalog list`.

use std::path::PathBuf;

use authenticode::catalog::{Attribute, Catalog, MAX_CATALOG, Member};
use clap::Args;
use serde::Serialize;

use crate::cmd::Context;
use crate::cmd::pe::credential::read_up_to;
use crate::failure::Outcome;

#[derive(Args)]
pub(super) struct ListArgs {
    /// The catalogue
    catalog: PathBuf,
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Listed {
    version: u8,
    identifier: String,
    made: String,
    attributes: Vec<Said>,
    members: Vec<Shown>,
}

#[derive(Serialize)]
struct Said {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Shown {
    tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_hashes: Option<String>,
    attributes: Vec<Said>,
}

fn said(attributes: &[Attribute]) -> Vec<Said> {
    attributes.iter().map(|a| Said { name: a.name.clone(), value: a.shown() }).collect()
}

fn shown(member: &Member) -> Shown {
    // Version 1 has text as tags, and whatever has a zero in every second place is text.
    let wide = member.tag.len() > 40 && member.tag.iter().skip(1).step_by(2).all(|byte| *byte == 0);
    let tag = match wide {
        true => {
            Attribute { name: String::new(), flags: authenticode::catalog::TEXT, value: member.tag.clone() }
                .shown()
        }
        false => hex::encode(&member.tag),
    };
    let pages = member.pages.as_ref();
    Shown {
        tag,
        kind: member.kind.map(authenticode::subject::Kind::word),
        digest: member.digest.as_ref().map(|(digest, value)| format!("{digest}:{}", hex::encode(value))),
        page_hashes: pages
            .map(|(digest, table)| format!("{digest}, {} entries", table.len() / (4 + digest.size()))),
        attributes: said(&member.attributes),
    }
}

pub(super) fn run(args: &ListArgs, context: &Context) -> Outcome {
    let bytes = read_up_to(&args.catalog, MAX_CATALOG as u64)?;
    let catalog = Catalog::from_file(&bytes).map_err(|e| super::super::failure(e, &args.catalog))?;
    let listed = Listed {
        version: catalog.version.number(),
        identifier: hex::encode(&catalog.identifier),
        made: catalog.made.to_string(),
        attributes: said(&catalog.attributes),
        members: catalog.members.iter().map(shown).collect(),
    };
    context.output.show(&listed, |listed| {
        let mut out = format!("version {}, made {}\n", listed.version, listed.made);
        for said in &listed.attributes {
            out += &format!("  {}: {}\n", said.name, said.value);
        }
        for member in &listed.members {
            let name =
                member.attributes.iter().find(|said| said.name == "File").map(|said| said.value.as_str());
            let digest = member.digest.as_deref().unwrap_or(&member.tag);
            out += &format!("{:8} {digest}  {}\n", member.kind.unwrap_or("other"), name.unwrap_or("-"));
        }
        out
    })
}
