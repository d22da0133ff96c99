//! `custody seal prove`, and `custody seal verify --proof`: one file of many, handed over and checked alone.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use event::{Fact, Severity};
use evidence::{Form, Options};
use seal::{EntryKind, EntryProof, MAX_PROOF, Proved, SealError};
use serde::Serialize;

use super::report::Signer;
use super::signers::{self, SignerArgs};
use super::trust::{self, Source, Trust};
use super::{Context, collect, concluded, keyring, malformed, read};
use crate::aside;
use crate::failure::{Failure, Outcome};
use crate::given;
use crate::recorder::Recorded;

pub(super) const HELP: &str = "\
The proof and the file are all that the other side needs, and a key that it trusts: no seal, no network. Seals
from before there were signed heads need a key to sign one now: `--key` or `--key-file`.

Examples:
  $ custody seal prove bin.seal.json payments -o payments.proof.json";

#[derive(Args)]
pub(super) struct ProveArgs {
    /// The seal
    seal: PathBuf,
    /// Path of the file, as the seal lists it
    path: String,
    /// Where to write the proof; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    signers: SignerArgs,
    /// Trust this public key too, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
}

/// What was proved, as it is printed. The names are part of the interface.
#[derive(Serialize)]
struct Handed {
    path: String,
    seal: String,
    sha256: String,
    sm3: String,
    entries: u64,
    signed_by: Vec<Signer>,
    output: String,
}

pub(super) fn run(args: &ProveArgs, context: &Context) -> Outcome {
    let ring = keyring(context);
    let source = Source { file: &args.seal, trust: &args.trust };
    let bytes = read(&args.seal)?;
    let trust = Trust::of(source, ring.as_ref())?;
    let keys = if args.signers.named() { args.signers.open(context)? } else { Vec::new() };
    let refused = |error| refused(error, &bytes, source, ring.as_ref());
    let opened = seal::Seal::open(&bytes, &trust.verifiers()).map_err(refused)?;
    trust.accept(&opened.signers, source)?;
    let proof =
        EntryProof::new(&bytes, &trust.verifiers(), &args.path, &signers::all(&keys)).map_err(refused)?;
    let entry = proof.unchecked_entry();
    if entry.kind != EntryKind::File {
        let what = format!("`{}` is a {}, and only files are handed over", entry.path, entry.kind);
        return Err(Failure::input(anyhow::anyhow!(what)));
    }
    let json = proof.to_json().map_err(|e| malformed(e, &args.seal))?;
    let handed = Handed {
        path: entry.path.to_string(),
        seal: args.seal.display().to_string(),
        sha256: hex::encode(entry.digest.sha256),
        sm3: hex::encode(entry.digest.sm3),
        entries: opened.seal.tree().entries().len() as u64,
        signed_by: trust.signers(&opened.signers),
        output: args.output.display().to_string(),
    };
    if args.output == Path::new("-") {
        context.output.remark(handed.lines().trim_end());
        return context.output.text(&String::from_utf8_lossy(&json));
    }
    aside::write(&args.output, &json).map_err(|e| {
        let error = anyhow::Error::from(e).context(format!("cannot write `{}`", args.output.display()));
        Failure::environment(error).hint("name another place with `-o FILE`, or standard output with `-o -`")
    })?;
    context.output.show(&handed, Handed::lines)
}

fn refused(error: SealError, bytes: &[u8], source: Source<'_>, ring: Option<&keystore::Keyring>) -> Failure {
    match &error {
        SealError::NoEntry { .. } => Failure::input(error)
            .hint("paths are as the seal lists them: `custody seal verify --json` shows them, without a leading `./`"),
        SealError::NoHead => Failure::input(error)
            .hint("sign one now with `--key NAME`, or add one to the seal with `custody seal sign`"),
        _ => trust::refused(error, bytes, source, ring),
    }
}

impl Handed {
    fn lines(&self) -> String {
        let by: Vec<_> = self.signed_by.iter().map(|s| s.name.as_str()).collect();
        format!(
            "proved `{}`, one of {} entries, signed by {}\n  sha256   {}\n  sm3      {}\n  proof    {}\n",
            self.path,
            self.entries,
            by.join(", "),
            self.sha256,
            self.sm3,
            self.output
        )
    }
}

/// Whether a file is the one that a proof is about, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Checked {
    act: &'static str,
    holds: bool,
    file: String,
    proof: String,
    /// Its path in what was sealed.
    path: String,
    name: String,
    entries: u64,
    mode: String,
    sha256: String,
    sm3: String,
    signed_by: Vec<Signer>,
}

impl Recorded for Checked {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.holds { Severity::Info } else { Severity::Critical };
        let keys: Vec<_> = self.signed_by.iter().map(|s| s.key_id.as_str()).collect();
        Some(
            Fact::new(self.act)
                .severity(severity)
                .subject("svc", "custody")
                .object("name", self.name.clone())
                .object("path", self.file.clone())
                .object("entry", self.path.clone())
                .object("proof", self.proof.clone())
                .context("keys", keys.join(",")),
        )
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

/// `custody seal verify FILE --proof PROOF`: the bytes count; name and mode are shown, for a file that was handed over
/// has others.
pub(super) fn verify(path: &Path, file: &Path, trusted: &[PathBuf], context: &Context) -> Outcome {
    let mut bytes = Vec::new();
    let opened = given::open(file).and_then(|f| f.take(MAX_PROOF as u64 + 1).read_to_end(&mut bytes));
    opened.map_err(|e| {
        Failure::input(anyhow::Error::from(e).context(format!("cannot read proof `{}`", file.display())))
    })?;
    let ring = keyring(context);
    let source = Source { file, trust: trusted };
    let trust = Trust::of(source, ring.as_ref())?;
    let proof = EntryProof::parse(&bytes).map_err(|e| malformed(e, file))?;
    let proved = proof.verify(&trust.verifiers()).map_err(|error| unproved(error, &proof, file))?;
    trust.accept(&proved.signers, source)?;
    let options = Options { form: Form::File, ..Options::default() };
    let found = collect(path, &options, context)?;
    let holds = found.observation.digest == Some(proved.entry.digest) && proved.entry.kind == EntryKind::File;
    let checked = Checked::new(path, file, &proved, holds, trust.signers(&proved.signers));
    concluded(context, &checked, Checked::lines)?;
    match holds {
        true => Ok(()),
        false => Err(Failure::finding(anyhow::anyhow!(
            "`{}` is not the `{}` that `{}` proves",
            path.display(),
            proved.entry.path,
            file.display()
        ))),
    }
}

fn unproved(error: SealError, proof: &EntryProof, file: &Path) -> Failure {
    match &error {
        SealError::Signature(signing::SigningError::NoTrustedSignature { .. }) => {
            let by = proof.unchecked_signers().join(", ");
            let what = format!("`{}` is signed by key {by}, which is not trusted here", file.display());
            Failure::finding(anyhow::anyhow!(what))
                .hint("if you know whose key that is: `--trust FILE.pub.pem`")
        }
        SealError::Signature(_) | SealError::NotIncluded { .. } => Failure::finding(
            anyhow::Error::from(error).context(format!("`{}` proves nothing", file.display())),
        ),
        _ => malformed(error, file),
    }
}

impl Checked {
    fn new(path: &Path, file: &Path, proved: &Proved, holds: bool, signed_by: Vec<Signer>) -> Self {
        Self {
            act: if holds { "SEAL.VERIFIED" } else { "SEAL.MISMATCH" },
            holds,
            file: path.display().to_string(),
            proof: file.display().to_string(),
            path: proved.entry.path.to_string(),
            name: proved.head.name.clone(),
            entries: proved.head.entries,
            mode: format!("{:04o}", proved.entry.mode),
            sha256: hex::encode(proved.entry.digest.sha256),
            sm3: hex::encode(proved.entry.digest.sm3),
            signed_by,
        }
    }

    fn lines(&self) -> String {
        let by: Vec<_> = self.signed_by.iter().map(|s| s.name.as_str()).collect();
        let verb = if self.holds { "is" } else { "is not" };
        format!(
            "`{}` {verb} `{}` of `{}` ({} entries, mode {}), signed by {}\n",
            self.file,
            self.path,
            seal::escape(self.name.as_bytes()),
            self.entries,
            self.mode,
            by.join(", ")
        )
    }
}
