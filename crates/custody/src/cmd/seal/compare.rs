//! `custody seal compare`: two builds of the same, what differs in them, and why.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::Options;
use seal::{ChangeReason, Comparison, EntryKind, Observation, Seal, Subject};
use serde::Serialize;

use super::why::{self, Cause};
use super::{Context, LimitArgs, collect, malformed, report};
use crate::failure::{Failure, Outcome};
use crate::given;

pub(super) const HELP: &str = "\
Both are read as `custody seal create` reads them. Of files in directories, and of two files, the contents are
looked into: times, paths, build ids, and of Go programs what the go command wrote into them.

Exit code 0: the same, entry for entry; 1: not; 2: one of them cannot be read.

Examples:
  $ custody seal compare bin bin";

/// Larger files are compared by their digests alone.
const MAX_LOOKED_INTO: u64 = 256 << 20;

#[derive(Args)]
pub(super) struct CompareArgs {
    /// The first build: directory, archive or file
    first: PathBuf,
    /// The second
    second: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
}

/// What differs. The names are part of the interface.
#[derive(Serialize)]
struct Compared<'a> {
    same: bool,
    first: String,
    second: String,
    #[serde(flatten)]
    entries: &'a Comparison,
    /// Why entries differ, where it was found.
    causes: Vec<Explained>,
    /// The entries are the same, and the bytes of the archives around them are not.
    container_differs: bool,
}

#[derive(Serialize)]
struct Explained {
    path: String,
    causes: Vec<Cause>,
}

pub(super) fn run(args: &CompareArgs, context: &Context) -> Outcome {
    let read = |path: &Path| -> Result<Seal, Failure> {
        let options = Options { limits: args.limits.limits(), ..Options::default() };
        collect(path, &options, context)?.into_seal().map_err(|e| malformed(e, path))
    };
    let (a, b) = (read(&args.first)?, read(&args.second)?);
    let found = Comparison::of_entries(&a, &Observation::of(&b));
    let container_differs = found.holds() && a.digest().zip(b.digest()).is_some_and(|(a, b)| a != b);
    let mut causes = Vec::new();
    for change in &found.changed {
        let both_files = change.sealed.kind == EntryKind::File
            && matches!(&change.reason, ChangeReason::Found(found) if found.kind == EntryKind::File);
        let entry = change.path.as_str();
        if let Some((first, second)) = contents(args, [&a, &b], entry).filter(|_| both_files) {
            causes.push(Explained { path: change.path.to_string(), causes: why::causes(&first, &second) });
        }
    }
    if container_differs && let Some((first, second)) = contents(args, [&a, &b], "") {
        causes.push(Explained { path: String::new(), causes: why::causes(&first, &second) });
    }
    let same = found.holds() && !container_differs;
    let compared = Compared {
        same,
        first: args.first.display().to_string(),
        second: args.second.display().to_string(),
        entries: &found,
        causes,
        container_differs,
    };
    context.output.show(&compared, Compared::lines)?;
    match same {
        true => Ok(()),
        false => Err(Failure::finding(anyhow::anyhow!(
            "`{}` and `{}` are not the same",
            args.first.display(),
            args.second.display()
        ))),
    }
}

/// The contents of an entry in both, where they lie in files of their own; of no entry, the bytes of both archives.
fn contents(args: &CompareArgs, seals: [&Seal; 2], entry: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let of = |root: &Path, seal: &Seal| {
        let path = match seal.subject() {
            Subject::Directory => root.join(entry),
            Subject::File => root.to_owned(),
            Subject::Archive { .. } if entry.is_empty() => root.to_owned(),
            Subject::Archive { .. } => return None,
        };
        small(&path)
    };
    Some((of(&args.first, seals[0])?, of(&args.second, seals[1])?))
}

fn small(path: &Path) -> Option<Vec<u8>> {
    let file = given::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let mut bytes = Vec::new();
    (size <= MAX_LOOKED_INTO).then(|| file.take(MAX_LOOKED_INTO).read_to_end(&mut bytes).ok())??;
    Some(bytes)
}

impl Compared<'_> {
    fn lines(&self) -> String {
        if self.same {
            return format!("`{}` and `{}` are the same, entry for entry\n", self.first, self.second);
        }
        let mut text = report::entries(self.entries);
        if self.container_differs {
            text += "container  the entries are the same, and the bytes around them are not\n";
        }
        for explained in &self.causes {
            for cause in &explained.causes {
                let path = if explained.path.is_empty() { "container" } else { &explained.path };
                text += &format!("why        {path}: {cause}\n");
            }
        }
        text
    }
}
