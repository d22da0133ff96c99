//! The long runs: every test target whose source asks for `CUSTODY_SOAK` does more when it is set, and only those run.
//!
//! They are found, not listed, so that a new one cannot be forgotten. They run in the profile of the tests, which is
//! optimised enough and already built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::{cargo, step};

/// What a test asks for. Put together here, so that this file is not taken for a test.
const WORD: &str = concat!("CUSTODY", "_SOAK");

/// A package and one of its test targets: none is its unit tests.
type Target = (String, Option<String>);

/// All of them, or those of the packages in `rest`. A failure does not keep the others from running.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    let mut chosen = targets(Path::new("crates"))?;
    if !rest.is_empty() {
        chosen.retain(|(package, _)| rest.contains(package));
    }
    ensure!(!chosen.is_empty(), "no test of {} asks for {WORD}", rest.join(", "));
    let failed: Vec<String> =
        chosen.iter().filter_map(|target| one(target).err()).map(|e| format!("{e:#}")).collect();
    ensure!(failed.is_empty(), "{} of {} soaks failed:\n{}", failed.len(), chosen.len(), failed.join("\n"));
    Ok(())
}

fn one((package, test): &Target) -> Result<()> {
    let mut command = cargo(&["test", "--locked", "--package", package]);
    match test {
        Some(test) => command.args(["--test", test]),
        None => command.arg("--lib"),
    };
    command.args(["--", "--nocapture"]).env(WORD, "1");
    step(&format!("soak {package} {}", test.as_deref().unwrap_or("unit tests")), &mut command)
}

/// The test targets below `crates` one of whose files asks for the soak.
fn targets(crates: &Path) -> Result<BTreeSet<Target>> {
    let mut found = BTreeSet::new();
    for entry in files_below(crates)? {
        if entry.extension().is_none_or(|e| e != "rs") || !std::fs::read_to_string(&entry)?.contains(WORD) {
            continue;
        }
        let below = entry.strip_prefix(crates).context("a file outside the crates")?;
        let parts: Vec<&str> = below.iter().filter_map(|part| part.to_str()).collect();
        let target = match parts.as_slice() {
            [package, "src", ..] => ((*package).to_owned(), None),
            [package, "tests", test, ..] if *test != "support" => {
                ((*package).to_owned(), Some(test.trim_end_matches(".rs").to_owned()))
            }
            _ => bail!("{}: {WORD} belongs to a test target, where it can be run by name", entry.display()),
        };
        found.insert(target);
    }
    Ok(found)
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soaks_are_found() {
        let found = targets(&crate::rig::repository().join("crates")).unwrap();
        assert!(found.contains(&("ledger".to_owned(), None)), "{found:?}");
        assert!(found.contains(&("custody".to_owned(), Some("kill".to_owned()))), "{found:?}");
        assert!(found.contains(&("custody".to_owned(), Some("serve".to_owned()))), "{found:?}");
    }
}
