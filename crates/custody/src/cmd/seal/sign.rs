//! `custody seal sign`: one more signature on a seal that stands.

use std::path::PathBuf;

use clap::Args;
use event::Fact;
use seal::{Seal, SealError};
use serde::Serialize;
use signing::SigningError;

use super::report::Signer;
use super::signers::{self, SignerArgs};
use super::trust::{self, Source, Trust};
use super::{Context, concluded, keyring, malformed, read};
use crate::aside::Aside;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

#[derive(Args)]
pub(super) struct SignArgs {
    /// The seal
    file: PathBuf,
    #[command(flatten)]
    signers: SignerArgs,
    /// Trust this public key too, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Check, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was signed, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct SignedSeal {
    /// The action code of the event.
    act: &'static str,
    seal: String,
    name: String,
    tree: String,
    /// Whose signatures were there, and held.
    signed_by: Vec<Signer>,
    /// Ids of the keys that signed now.
    key_ids: Vec<String>,
    dry_run: bool,
}

impl Recorded for SignedSeal {
    fn fact(&self) -> Option<Fact> {
        let before: Vec<_> = self.signed_by.iter().map(|s| s.key_id.as_str()).collect();
        let fact = Fact::new(self.act)
            .subject("svc", "custody")
            .object("seal", self.seal.clone())
            .object("name", self.name.clone())
            .object("tree", self.tree.clone())
            .context("keys", self.key_ids.join(","))
            .context("after", before.join(","));
        (!self.dry_run).then_some(fact)
    }
}

pub(super) fn run(args: &SignArgs, context: &Context) -> Outcome {
    let keys = args.signers.open(context)?;
    let ring = keyring(context);
    let source = Source { file: &args.file, trust: &args.trust };
    let bytes = read(&args.file)?;
    let trust = Trust::of(source, ring.as_ref())?;
    let (envelope, opened) = Seal::countersign(&bytes, &trust.verifiers(), &signers::all(&keys))
        .map_err(|error| refused(error, &bytes, source, ring.as_ref()))?;
    trust.accept(&opened.signers, source)?;
    let signed = SignedSeal {
        act: "SEAL.SIGNED",
        seal: args.file.display().to_string(),
        name: opened.seal.name().to_owned(),
        tree: hex::encode(opened.seal.tree().roots().sha256),
        signed_by: trust.signers(&opened.signers),
        key_ids: keys.iter().map(|key| key.key_id().to_string()).collect(),
        dry_run: args.dry_run,
    };
    if args.dry_run {
        return concluded(context, &signed, |s| s.lines("would sign"));
    }
    if context.home.existing().is_ok() {
        // A ledger that cannot be written to must show before there is a signature that it does not know of.
        context.session()?;
    }
    let unwritable = |e: std::io::Error| {
        let error = anyhow::Error::from(e).context(format!("cannot write `{}`", args.file.display()));
        Failure::environment(error).hint("nothing was changed; copy the seal to a place that can be written")
    };
    let aside = Aside::new(&args.file, &envelope).map_err(unwritable)?;
    context.note(&signed)?;
    aside.place().map_err(unwritable)?;
    context.output.show(&signed, |s| s.lines("signed"))
}

/// A key that has signed already, or a limit, is the caller's mistake; the rest is the seal's.
fn refused(error: SealError, bytes: &[u8], source: Source<'_>, ring: Option<&keystore::Keyring>) -> Failure {
    match error {
        SealError::Signature(SigningError::Malformed { .. }) => malformed(error, source.file),
        other => trust::refused(other, bytes, source, ring),
    }
}

impl SignedSeal {
    fn lines(&self, verb: &str) -> String {
        let before: Vec<_> = self.signed_by.iter().map(|s| s.name.as_str()).collect();
        let mut text = format!("{verb} `{}` after {}\n  tree  {}\n", self.seal, before.join(", "), self.tree);
        for id in &self.key_ids {
            text += &format!("  key   {id}\n");
        }
        text
    }
}
