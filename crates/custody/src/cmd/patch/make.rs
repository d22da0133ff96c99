//! `custody patch build` and `custody patch inspect`.

use std::path::{Path, PathBuf};

use clap::Args;
use event::Fact;
use livepatch::{FunctionChange, Patch, Sources};
use serde::Serialize;

use super::text;
use super::{Context, Opened, failure, read};
use crate::aside::Aside;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

/// A larger executable is refused before it is read.
const MAX_BUILD: u64 = 2 << 30;

pub(super) const BUILD_HELP: &str = "The new build is linked where it can stand beside the old one, and is otherwise built as the old one was:\n\
    `go build -ldflags=-T=0x6e5a1000 -o new .` (any multiple of 4096, plus 4096, above the old build and below 0x7f000000).\n\
    With C code: `-ldflags=-extldflags=-Wl,-Ttext-segment=0x6e5a0000`. Position-independent builds need neither.\n\
    Exit code 1: the change cannot be made safely in a running process; place and reason are named.\n\n\
    Examples:\n  $ custody patch build --old live/live-payments --new live/live-payments-fixed -o fix.cpatch";
pub(super) const INSPECT_HELP: &str =
    "Examples:\n  $ custody patch inspect fix.cpatch\n  $ custody patch inspect fix.cpatch --json";

#[derive(Args)]
pub(super) struct BuildArgs {
    /// The build that runs
    #[arg(long, value_name = "BIN")]
    old: PathBuf,
    /// The build that should: same module, same Go release, linked elsewhere
    #[arg(long, value_name = "BIN")]
    new: PathBuf,
    /// The build that runs with its symbols, if `--old` is stripped: the same build otherwise
    #[arg(long, value_name = "BIN")]
    symbols: Option<PathBuf>,
    /// A patch that the process carries already and this one is made upon; the lowest first
    #[arg(long, value_name = "PATCH", requires = "upon_build")]
    upon: Vec<PathBuf>,
    /// The new build that the patch of `--upon` was made with, one for each
    #[arg(long, value_name = "BIN", requires = "upon")]
    upon_build: Vec<PathBuf>,
    /// Let the builds be of different versions of their modules
    #[arg(long)]
    allow_modules: bool,
    /// Where to write the patch
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args)]
pub(super) struct InspectArgs {
    /// The patch
    file: PathBuf,
}

/// What a patch is, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
pub(super) struct Described<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'static str>,
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) release: &'a str,
    pub(super) old_build: &'a str,
    pub(super) new_build: &'a str,
    old_file: &'a str,
    new_file: &'a str,
    pub(super) functions: &'a [FunctionChange],
    pub(super) added: &'a [String],
    pub(super) variables: &'a [String],
    /// Entries that lead to new code.
    pub(super) switches: usize,
    /// What is mapped into the process, and what of it is written.
    pub(super) mapped: u64,
    pub(super) bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
}

impl Recorded for Described<'_> {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act?)
            .subject("svc", "custody")
            .object("patch", self.sha256.clone())
            .object("file", self.file.clone())
            .object("old_build", self.old_build.to_owned())
            .object("new_build", self.new_build.to_owned())
            .context("functions", self.functions.len().to_string())
            .context("names", text::names(self.functions.iter().map(|f| f.name.as_str())));
        Some(fact)
    }
}

pub(super) fn build(args: &BuildArgs, context: &Context) -> Outcome {
    let (old, new) = (read(&args.old, MAX_BUILD)?, read(&args.new, MAX_BUILD)?);
    let what = format!("cannot make a patch from `{}` to `{}`", args.old.display(), args.new.display());
    let patch = made(args, &old, &new, &what)?;
    let file = patch.encode().map_err(|e| failure(e, &what))?;
    let unwritable = |e: std::io::Error| {
        let error = anyhow::Error::from(e).context(format!("cannot write `{}`", args.output.display()));
        Failure::environment(error)
    };
    let sha256 = hex::encode(gm::Dual::digest(&file).sha256);
    let described = Described { act: Some("PATCH.BUILT"), ..Described::of(&args.output, &patch, sha256) };
    let aside = Aside::new(&args.output, &file).map_err(unwritable)?;
    context.note(&described)?;
    aside.place().map_err(unwritable)?;
    context.output.show(&described, text::described)
}

fn made(args: &BuildArgs, old: &[u8], new: &[u8], what: &str) -> Result<Patch, Failure> {
    if args.upon.len() != args.upon_build.len() {
        let told = anyhow::anyhow!("every `--upon` needs the build that it was made with");
        return Err(Failure::input(told).hint("give one `--upon-build` for each, in the same order"));
    }
    let symbols = args.symbols.as_deref().map(|file| read(file, MAX_BUILD)).transpose()?;
    let mut below = Vec::new();
    for (patch, build) in args.upon.iter().zip(&args.upon_build) {
        below.push((Opened::read(patch)?.patch, read(build, MAX_BUILD)?));
    }
    let below: Vec<_> = below.iter().map(|(patch, build)| (patch, build.as_slice())).collect();
    let symbols = symbols.as_deref();
    let sources = Sources { old, symbols, below: &below, new, other_modules: args.allow_modules };
    livepatch::build_from(&sources).map_err(|e| failure(e, what))
}

pub(super) fn inspect(args: &InspectArgs, context: &Context) -> Outcome {
    let opened = Opened::read(&args.file)?;
    let beside = super::signature_of(&args.file);
    let signature = beside.exists().then(|| beside.display().to_string());
    let described = Described { signature, ..Described::of(&args.file, &opened.patch, opened.sha256()) };
    context.output.show(&described, text::described)
}

impl<'a> Described<'a> {
    fn of(file: &Path, patch: &'a Patch, sha256: String) -> Self {
        let head = &patch.head;
        Self {
            act: None,
            file: file.display().to_string(),
            sha256,
            release: &head.release,
            old_build: &head.old_build,
            new_build: &head.new_build,
            old_file: &head.old_file,
            new_file: &head.new_file,
            functions: &head.functions,
            added: &head.added,
            variables: &head.fresh,
            switches: head.switches.len(),
            mapped: head.regions.iter().map(|region| region.size).sum(),
            bytes: patch.bytes.len(),
            signature: None,
        }
    }
}
