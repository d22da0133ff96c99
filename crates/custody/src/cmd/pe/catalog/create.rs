//! `custody pe catalog create`.

use std::path::PathBuf;

use authenticode::catalog::{Attribute, Catalog, MAX_MEMBERS, MemberOptions, Version, unsigned};
use authenticode::subject::Subject;
use clap::Args;
use pkix::Digest;
use serde::Serialize;

use crate::aside;
use crate::cmd::Context;
use crate::cmd::pe::{moment, walk};
use crate::failure::{Failure, Outcome};

pub(super) const EXAMPLES: &str = "\
Images are known by their Authenticode digest, all other files by all their bytes. The same files and the same time
(SOURCE_DATE_EPOCH, or `--made`) give the same catalogue.

Examples:
  $ custody pe catalog create dist -o dist.cat
  $ custody pe catalog create app.exe --members 1 --os 2:6.1 -o app.cat --made 2026-11-20T08:30:00Z";

#[derive(Args)]
pub(super) struct CreateArgs {
    /// Files, and folders with all that is below them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The catalogue
    #[arg(long, short, value_name = "CAT")]
    output: PathBuf,
    /// Version of the members: 1 is SHA-1, for Windows 7 and before; 2 is SHA-256
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    members: u8,
    /// Hash the pages of images too, so that the kernel can check one at a time
    #[arg(long)]
    page_hashes: bool,
    /// Versions of Windows that it is for (`OSAttr`), as 2:10.0; drivers need it
    #[arg(long, value_name = "TEXT")]
    os: Option<String>,
    /// Something to say of the catalogue as a whole (repeatable)
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    attribute: Vec<(String, String)>,
    /// When it was made [default: `SOURCE_DATE_EPOCH`, else now]
    #[arg(long, value_name = "TIME")]
    made: Option<jiff::Timestamp>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=TEXT".to_owned()),
    }
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Created {
    output: String,
    files: usize,
    members: usize,
    version: u8,
    made: String,
    sha256: String,
}

pub(super) fn run(args: &CreateArgs, context: &Context) -> Outcome {
    let version = if args.members == 1 { Version::One } else { Version::Two };
    let mut catalog = Catalog::new(version, moment::made(args.made)?);
    catalog.attributes.extend(args.os.iter().map(|text| Attribute::text("OSAttr", text)));
    catalog.attributes.extend(args.attribute.iter().map(|(name, value)| Attribute::text(name, value)));
    let files = walk::files(&args.paths)?;
    if files.is_empty() {
        return Err(Failure::input(anyhow::anyhow!("there is no file in what was named")));
    }
    let bar = context.output.count_bar(Some(files.len() as u64), "hashing");
    for file in &files {
        let mut source = walk::open(&file.path)?;
        let failed = |e| super::super::failure(e, &file.path);
        let subject = Subject::read(&mut source).map_err(failed)?;
        let name = file.name.replace('/', "\\");
        let options = MemberOptions { pages: args.page_hashes };
        catalog.add(&subject, &name, options).map_err(failed)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    catalog.sort();
    if catalog.members.len() > MAX_MEMBERS {
        return Err(Failure::input(anyhow::anyhow!(
            "a catalogue of {} members is not read",
            catalog.members.len()
        ))
        .hint("make one for each part of the tree"));
    }
    let bytes = unsigned(&catalog.to_der());
    aside::write(&args.output, &bytes).map_err(|e| {
        Failure::environment(
            anyhow::Error::from(e).context(format!("cannot write `{}`", args.output.display())),
        )
    })?;
    let created = Created {
        output: args.output.display().to_string(),
        files: files.len(),
        members: catalog.members.len(),
        version: version.number(),
        made: catalog.made.to_string(),
        sha256: hex::encode(Digest::Sha256.of(&bytes)),
    };
    context.output.show(&created, |c| {
        format!(
            "catalogue `{}`\n  files     {}\n  members   {} of version {}\n  made      {}\n",
            c.output, c.files, c.members, c.version, c.made
        )
    })
}
