//! `custody audit prove` and `custody audit checkpoint`: what can be shown to someone who does not have the ledger.

use std::path::{Path, PathBuf};

use audit::{Files, LogKeys, Reader, Selector};
use clap::{ArgGroup, Args};
use signing::note::NoteVerifier;
use tlog::{Checkpoint, ConsistencyProof, InclusionProof, Sha256, TreeHash as _};

use super::super::Context;
use super::query::{UNRECORDED, cannot_write};
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
A proof is a .tlog-proof (c2sp.org/tlog-proof), or with --consistency the text of docs/formats/consistency-proof.md.\n\
Whoever checks one needs the proof, the event or the old checkpoint, and the log's public key (keys/log.vkey).\n\n\
Examples:\n  $ custody audit prove --index 0 -o login.tlog-proof\n  \
$ custody audit prove --id 0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10 --with-event -o login.tlog-proof\n  \
$ custody audit prove --check login.tlog-proof\n  \
$ custody audit prove --consistency january.checkpoint -o grown.proof\n  \
$ custody audit prove --check grown.proof --since january.checkpoint --key log.vkey";

pub(crate) const CHECKPOINT_HELP: &str = "\
Keep a checkpoint away from the machine: later, `verify --checkpoint` shows that the ledger only grew since.\n\n\
With --tsa a timestamp authority (RFC 3161) dates it, in one more line of the note that other tools pass over; that it was asked\n\
is an event. `verify --checkpoint FILE --tsa-roots PEM` judges the date, offline.\n\n\
Examples:\n  $ custody audit checkpoint -o january.checkpoint\n  \
$ custody audit checkpoint --tsa http://timestamp.digicert.com -o dated.checkpoint";

/// Arguments of `custody audit prove`.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct ProveArgs {
    /// Prove the event at this index
    #[arg(long, value_name = "N", group = "what")]
    index: Option<u64>,
    /// Prove the event with this id
    #[arg(long, value_name = "UUID", group = "what")]
    id: Option<String>,
    /// Prove that the ledger only grew since this checkpoint
    #[arg(long, value_name = "CHECKPOINT", group = "what")]
    consistency: Option<PathBuf>,
    /// Check a proof offline
    #[arg(long, value_name = "PROOF", group = "what")]
    check: Option<PathBuf>,
    /// Put the event itself into the proof
    #[arg(long, conflicts_with_all = ["consistency", "check"])]
    with_event: bool,
    /// Where to put the proof, instead of standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "check")]
    output: Option<PathBuf>,
    /// With --check: the event, as `query --json` prints it, when the proof does not hold it
    #[arg(long, value_name = "FILE", requires = "check")]
    event: Option<PathBuf>,
    /// With --check: the old checkpoint of a consistency proof
    #[arg(long, value_name = "CHECKPOINT", requires = "check")]
    since: Option<PathBuf>,
    /// With --check: the file with the log's public key (a copy of keys/log.vkey); the home's own when absent
    #[arg(long, value_name = "FILE", requires = "check")]
    key: Option<PathBuf>,
}

/// Arguments of `custody audit checkpoint`.
#[derive(Args)]
pub(crate) struct CheckpointArgs {
    /// Where to put it, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Timestamp authority, RFC 3161, that is to date it; the next is asked when one fails (repeatable)
    #[arg(long, value_name = "URL")]
    tsa: Vec<String>,
}

/// A text file that is never large; standard formats of proofs and checkpoints bound it at 1 MiB.
const MAX_FILE: u64 = 1 << 20;

/// Reads a small text file that the caller named.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    crate::given::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .and_then(|read| {
            let fits = read as u64 <= MAX_FILE;
            if fits { Ok(()) } else { Err(std::io::Error::other("it is larger than 1 MiB")) }
        })
        .map_err(|e| {
            Failure::input(anyhow::Error::from(e).context(format!("cannot read {}", path.display())))
        })?;
    Ok(text)
}

/// Makes or checks a proof.
pub(crate) fn run(args: &ProveArgs, context: &Context) -> Outcome {
    if let Some(proof) = &args.check {
        return check(args, proof, context);
    }
    if let Some(old) = &args.consistency {
        let old = open_checkpoint(&read_text(old)?, &home_key(context)?, old)?;
        let proof = match audit::open(context.home.existing()?.path()) {
            Ok(session) => session.prove_consistency(old.size),
            Err(error) if cannot_write(&error) => {
                context.output.remark(UNRECORDED);
                Files::open(context.home.path()).and_then(|files| files.prove_consistency(old.size))
            }
            Err(error) => Err(error),
        };
        let proof = proof.map_err(failure)?;
        return deliver(
            &proof,
            args.output.as_deref(),
            context,
            || serde_json::json!({ "old": old.size, "proof": proof }),
        );
    }
    let selector = match (&args.index, &args.id) {
        (Some(index), _) => Selector::Index(*index),
        (None, id) => Selector::Id(id.clone().unwrap_or_default()), // clap insists on one
    };
    let proved = match audit::open(context.home.existing()?.path()) {
        Ok(session) => session.prove_as(&Reader::here(), &selector),
        Err(error) if cannot_write(&error) => {
            context.output.remark(UNRECORDED);
            Files::open(context.home.path()).and_then(|files| files.prove(&selector))
        }
        Err(error) => Err(error),
    };
    let mut proved = proved.map_err(failure)?;
    if args.with_event {
        let mut proof = InclusionProof::parse(&proved.proof).map_err(Failure::environment)?;
        proof.extra = Some(proved.event.clone().into_bytes());
        proved.proof = proof.to_string();
    }
    deliver(&proved.proof, args.output.as_deref(), context, || serde_json::json!(proved))
}

/// Publishes a checkpoint.
pub(crate) fn checkpoint(args: &CheckpointArgs, context: &Context) -> Outcome {
    let mut note = context.session()?.checkpoint().map_err(failure)?;
    if !args.tsa.is_empty() {
        note = super::dated::dated(&note, &args.tsa, context)?;
    }
    deliver(&note, args.output.as_deref(), context, || serde_json::json!({ "checkpoint": note }))
}

fn deliver(
    text: &str,
    output: Option<&Path>,
    context: &Context,
    document: impl FnOnce() -> serde_json::Value,
) -> Outcome {
    if let Some(path) = output {
        crate::aside::write(path, text.as_bytes()).map_err(|e| unwritable(e, path))?;
        context.output.remark(&format!("written to {}", path.display()));
        return if context.output.json { context.output.json_line(&document()) } else { Ok(()) };
    }
    if context.output.json { context.output.json_line(&document()) } else { context.output.text(text) }
}

/// A place that cannot be is a wrong argument; one that cannot be written is this machine's.
fn unwritable(error: std::io::Error, path: &Path) -> Failure {
    use std::io::ErrorKind as E;
    let misnamed = matches!(error.kind(), E::NotFound | E::NotADirectory | E::IsADirectory | E::InvalidInput);
    let error = anyhow::Error::from(error).context(format!("cannot write {}", path.display()));
    let failure = if misnamed { Failure::input(error) } else { Failure::environment(error) };
    failure.hint("nothing was written; name another place with `-o FILE`, or none for standard output")
}

fn home_key(context: &Context) -> Result<NoteVerifier, Failure> {
    LogKeys::of(context.home.existing()?.path()).verifier().map_err(failure)
}

pub(crate) fn open_checkpoint(note: &str, key: &NoteVerifier, path: &Path) -> Result<Checkpoint, Failure> {
    let bad = |e: anyhow::Error| {
        Failure::finding(e.context(format!("the checkpoint in {} is not one of this log", path.display())))
            .hint("give the log's own public key with `--key`, as its operator published it")
    };
    let opened = key.open(note).map_err(|e| bad(e.into()))?;
    let checkpoint = Checkpoint::parse(&opened.text).map_err(|e| bad(e.into()))?;
    if checkpoint.origin != key.name() {
        return Err(bad(anyhow::anyhow!("it is of the log `{}`", checkpoint.origin)));
    }
    Ok(checkpoint)
}

/// Checks a proof with the public key alone: no ledger, no owner.
fn check(args: &ProveArgs, path: &Path, context: &Context) -> Outcome {
    let key = match &args.key {
        None => home_key(context)?,
        Some(file) => NoteVerifier::parse(&read_text(file)?).map_err(Failure::input)?,
    };
    let text = read_text(path)?;
    if text.starts_with("c2sp.org/") {
        let proof = InclusionProof::parse(&text).map_err(Failure::input)?;
        return check_inclusion(args, &proof, &key, path, context);
    }
    let proof = ConsistencyProof::parse(&text).map_err(Failure::input)?;
    let Some(since) = &args.since else {
        return Err(Failure::input(anyhow::anyhow!("a consistency proof is about an old checkpoint"))
            .hint("name it with `--since CHECKPOINT`"));
    };
    let old = open_checkpoint(&read_text(since)?, &key, since)?;
    let new = open_checkpoint(&proof.note, &key, path)?;
    proof.verify(&old, &new).map_err(Failure::finding)?;
    let document =
        serde_json::json!({ "holds": true, "old": old.size, "new": new.size, "origin": new.origin });
    context.output.show(&document, |_| {
        format!("holds  {} grew from {} to {} events and changed none\n", new.origin, old.size, new.size)
    })
}

fn check_inclusion(
    args: &ProveArgs,
    proof: &InclusionProof,
    key: &NoteVerifier,
    path: &Path,
    context: &Context,
) -> Outcome {
    let checkpoint = open_checkpoint(&proof.note, key, path)?;
    let event = match (&args.event, &proof.extra) {
        (Some(file), _) => read_text(file)?.trim_end_matches(['\r', '\n']).as_bytes().to_vec(),
        (None, Some(extra)) => extra.clone(),
        (None, None) => {
            return Err(Failure::input(anyhow::anyhow!("the proof does not hold its event"))
                .hint("name the event, as `custody audit query --json` prints it, with `--event FILE`"));
        }
    };
    proof.verify(&Sha256::leaf(&event), &checkpoint).map_err(|e| {
        Failure::finding(e).hint("the event must be exactly as it is stored: `custody audit query --json`")
    })?;
    let (index, origin) = (proof.index, &checkpoint.origin);
    let shown = String::from_utf8_lossy(&event);
    let document = serde_json::json!({ "holds": true, "index": index, "origin": origin, "event": shown, "size": checkpoint.size });
    context.output.show(&document, |_| format!("holds  event {index} of {origin}\n{shown}\n"))
}
