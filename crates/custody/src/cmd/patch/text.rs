//! What the patch commands print for people.

use livepatch::{FunctionChange, Source};

use super::make::Described;

/// Room for names of functions in one event, which has a limit of its own.
const ROOM: usize = 2000;

/// Names, as many as there is room for.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for name in names {
        if text.len() + name.len() > ROOM {
            return text + ",…";
        }
        if !text.is_empty() {
            text.push(',');
        }
        text += name;
    }
    text
}

pub(super) fn described(patch: &Described<'_>) -> String {
    let mut text = format!("patch `{}`\n  sha256    {}\n", patch.file, patch.sha256);
    text += &format!("  release   {}\n  from      build {}\n", patch.release, patch.old_build);
    text += &format!("  to        build {}\n", patch.new_build);
    for change in patch.functions {
        text += &function(change);
    }
    for name in patch.added {
        text += &format!("  added     {name}\n");
    }
    for name in patch.variables {
        text += &format!("  variable  {name}\n");
    }
    text += &format!(
        "  switches  {} entries; {} bytes are placed in {} KiB that are mapped\n",
        patch.switches,
        patch.bytes,
        patch.mapped >> 10
    );
    match &patch.signature {
        Some(file) => text + &format!("  signature `{file}`, not judged here: `custody patch verify`\n"),
        None => text,
    }
}

fn function(change: &FunctionChange) -> String {
    let mut text = format!("  changed   {}: {}\n", change.name, change.why);
    let lines = |source: &Option<Source>| match source {
        Some(source) => format!("{}:{}-{}", source.file, source.first, source.last),
        None => "source unknown".to_owned(),
    };
    let ((old, old_size), (new, new_size)) = (change.old, change.new);
    text += &format!("    old     {old:#x}, {old_size} bytes, {}\n", lines(&change.old_source));
    text += &format!("    new     {new:#x}, {new_size} bytes, {}\n", lines(&change.new_source));
    if let Some(kept) = &change.kept {
        text += &format!("    callers stay with the old one: {kept}\n");
    }
    text
}
