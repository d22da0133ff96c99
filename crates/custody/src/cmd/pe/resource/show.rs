//! `custody pe resource show`.

use std::path::PathBuf;

use authenticode::Image;
use authenticode::resource::version::VersionInfo;
use authenticode::resource::{MANIFEST, Name, Resources, VERSION, place};
use clap::Args;
use serde::Serialize;

use crate::cmd::Context;
use crate::cmd::pe::walk;
use crate::failure::Outcome;

/// `RT_…` (Win32, "Resource Types").
const KINDS: &[(u32, &str)] = &[
    (1, "cursor"),
    (2, "bitmap"),
    (3, "icon"),
    (4, "menu"),
    (5, "dialog"),
    (6, "string table"),
    (7, "font directory"),
    (8, "font"),
    (9, "accelerator"),
    (10, "data"),
    (11, "message table"),
    (12, "cursor group"),
    (14, "icon group"),
    (16, "version"),
    (17, "dialog include"),
    (23, "html"),
    (24, "manifest"),
];

#[derive(Args)]
pub(super) struct ShowArgs {
    /// Program, library or driver
    file: PathBuf,
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Shown {
    file: String,
    time_date_stamp: u32,
    resources: Vec<One>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
}

#[derive(Serialize)]
struct One {
    kind: String,
    name: String,
    language: u32,
    bytes: usize,
}

#[derive(Serialize)]
struct Version {
    file: String,
    product: String,
    strings: Vec<Text>,
}

#[derive(Serialize)]
struct Text {
    name: String,
    text: String,
}

fn kind(name: &Name) -> String {
    let known = KINDS.iter().find(|(number, _)| *name == Name::Id(*number));
    known.map_or_else(|| name.to_string(), |(_, word)| (*word).to_owned())
}

fn version(info: VersionInfo) -> Version {
    let dotted = |version: [u16; 4]| version.map(|number| number.to_string()).join(".");
    let strings = info.strings.into_iter().map(|(name, text)| Text { name, text }).collect();
    Version { file: dotted(info.file), product: dotted(info.product), strings }
}

pub(super) fn run(args: &ShowArgs, context: &Context) -> Outcome {
    let failed = |e| super::super::failure(e, &args.file);
    let mut source = walk::open(&args.file)?;
    let image = Image::read(&mut source).map_err(failed)?;
    let existing = place::existing(&mut source, &image).map_err(failed)?;
    let resources = match &existing {
        Some((rva, section)) => Resources::read(section, *rva).map_err(failed)?,
        None => Resources::default(),
    };
    let info = resources.of_kind(&VERSION).next().map(|(_, resource)| VersionInfo::read(&resource.data));
    let manifest = resources.of_kind(&MANIFEST).next();
    let shown = Shown {
        file: args.file.display().to_string(),
        time_date_stamp: image.time_date_stamp,
        resources: resources
            .iter()
            .map(|(key, resource)| One {
                kind: kind(&key.kind),
                name: key.name.to_string(),
                language: key.language,
                bytes: resource.data.len(),
            })
            .collect(),
        version: info.transpose().map_err(failed)?.map(version),
        manifest: manifest.map(|(_, resource)| printable(&String::from_utf8_lossy(&resource.data))),
    };
    context.output.show(&shown, text)
}

/// Nothing that would move a terminal's cursor, but line ends.
fn printable(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c })
        .collect()
}

fn text(shown: &Shown) -> String {
    let mut out = format!("{}\n", shown.file);
    for one in &shown.resources {
        out += &format!(
            "  {:14} {:6} language {:#06x}  {} bytes\n",
            one.kind, one.name, one.language, one.bytes
        );
    }
    if shown.resources.is_empty() {
        out += "  no resources\n";
    }
    if let Some(version) = &shown.version {
        out += &format!("version {} of product {}\n", version.file, version.product);
        for text in &version.strings {
            out += &format!("  {:18} {}\n", text.name, text.text);
        }
    }
    if let Some(manifest) = &shown.manifest {
        out += &format!("manifest\n{}\n", manifest.trim_end());
    }
    out
}
