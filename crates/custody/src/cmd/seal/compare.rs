//! `custody seal compare`: two builds of the same, what differs in them, and why.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::Options;
use seal::{ChangeReason, Comparison, EntryKind, EntryPath, Observation, Seal, Subject};
use serde::Serialize;

use super::why::{self, Cause};
use super::{Context, LimitArgs, collect, malformed, report, unreadable};
use crate::failure::{Failure, Outcome};
use crate::given;

pub(super) const HELP: &str = "\
Both are read as `custody seal create` reads them. The contents of files that differ are looked into, in directories and in
archives: times, paths, build ids, and of Go programs what the go command wrote into them.

Exit code 0: the same, entry for entry; 1: not; 2: one of them cannot be read.

Examples:
  $ custody seal compare bin bin";

/// Larger files are compared by their digests alone; so is what an archive holds beyond this, all its differing files together.
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
    let options = Options { limits: args.limits.limits(), ..Options::default() };
    let read = |path: &Path| -> Result<Seal, Failure> {
        collect(path, &options, context)?.into_seal().map_err(|e| malformed(e, path))
    };
    let (a, b) = (read(&args.first)?, read(&args.second)?);
    let found = Comparison::of_entries(&a, &Observation::of(&b));
    let container_differs = found.holds() && a.digest().zip(b.digest()).is_some_and(|(a, b)| a != b);
    let both_files = found.changed.iter().filter(|change| {
        change.sealed.kind == EntryKind::File
            && matches!(&change.reason, ChangeReason::Found(found) if found.kind == EntryKind::File)
    });
    let changed: BTreeSet<EntryPath> = both_files.map(|change| change.path.clone()).collect();
    let side = |root, seal| Contents::of(root, seal, &changed, &options);
    let (first, second) = (side(&args.first, &a)?, side(&args.second, &b)?);
    let mut causes = Vec::new();
    for path in &changed {
        if let Some((first, second)) = first.get(path).zip(second.get(path)) {
            causes.push(Explained { path: path.to_string(), causes: why::causes(&first, &second) });
        }
    }
    if container_differs && let Some((first, second)) = small(&args.first).zip(small(&args.second)) {
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

/// Where the contents of files that differ are had.
enum Contents<'a> {
    Folder(&'a Path),
    File(&'a Path),
    /// Out of an archive, all at once: it is read from its beginning.
    Archive(BTreeMap<EntryPath, Vec<u8>>),
}

impl<'a> Contents<'a> {
    fn of(
        root: &'a Path,
        seal: &Seal,
        changed: &BTreeSet<EntryPath>,
        options: &Options,
    ) -> Result<Self, Failure> {
        Ok(match seal.subject() {
            Subject::Directory => Self::Folder(root),
            Subject::File => Self::File(root),
            Subject::Archive { .. } if changed.is_empty() => Self::Archive(BTreeMap::new()),
            Subject::Archive { .. } => {
                let most = usize::try_from(MAX_LOOKED_INTO).unwrap_or(usize::MAX);
                let picked = evidence::pick(root, changed, most, options, &|_, _| {});
                Self::Archive(picked.map_err(|e| unreadable(e, root))?)
            }
        })
    }

    fn get(&self, entry: &EntryPath) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Folder(root) => small(&root.join(entry.as_str())).map(Cow::Owned),
            Self::File(path) => small(path).map(Cow::Owned),
            Self::Archive(picked) => picked.get(entry).map(|bytes| Cow::Borrowed(bytes.as_slice())),
        }
    }
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
