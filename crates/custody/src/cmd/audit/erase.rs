//! `custody audit erase`: the keys of a data subject are destroyed; a certificate says so.

use std::path::{Path, PathBuf};

use audit::vault::{Certified, Erasure, Subject, VaultAnswer, VaultCall};
use clap::{ArgGroup, Args};
use signing::dsse::Envelope;

use super::super::{Context, key};
use super::keys::unexpected;
use super::{certificate, subject};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
Nothing in the ledger changes and every proof stays valid; the sealed values of the subject can never be opened again,\n\
also not from an older copy of the vault. What a hold or the law still protects is queued, with the reason and the\n\
date. The certificate is a DSSE envelope that verifies offline (`audit verify --certificate`). It names the subject,\n\
and is not kept in the home: it is handed out once.\n\n\
Examples:\n  $ custody audit erase --subject customer:4711 --reason 'request of 2026-11-20' --dry-run\n  \
$ custody audit erase --subject customer:4712 --reason 'request of 2026-11-21' -o erasures\n  \
$ custody audit erase --due -o erasures";

/// Arguments of `custody audit erase`.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct EraseArgs {
    /// Erase this data subject
    #[arg(long, value_name = "KIND:ID", value_parser = subject::parse, group = "what", requires = "reason")]
    subject: Option<Subject>,
    /// Carry out what was queued and waits for nothing any more
    #[arg(long, group = "what")]
    due: bool,
    /// Hand out the certificates that were not handed out yet
    #[arg(long, group = "what", requires = "output")]
    certificates: bool,
    /// Why; it stands in the ledger, so it should not name the person
    #[arg(long)]
    reason: Option<String>,
    /// The folder for certificates; without it they wait in the vault
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The key that signs certificates; the one that signs seals when absent
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Say what would be destroyed and what would wait, and do nothing
    #[arg(long, conflicts_with_all = ["due", "certificates"])]
    dry_run: bool,
}

/// Erases, and hands out what certifies it.
pub(crate) fn run(args: &EraseArgs, context: &Context) -> Outcome {
    let call = match (&args.subject, args.due) {
        (Some(subject), _) => Some(VaultCall::Erase {
            subject: subject.clone(),
            reason: args.reason.clone().unwrap_or_default(), // clap insists on one
            dry_run: args.dry_run,
        }),
        (None, true) => Some(VaultCall::EraseDue {}),
        (None, false) => None,
    };
    let signer = args.output.as_ref().map(|_| signer(args, context)).transpose()?;
    let erasures = match call {
        None => Vec::new(),
        Some(call) => match context.session()?.vault(&call).map_err(failure)? {
            VaultAnswer::Erasures(erasures) => erasures,
            other => return Err(unexpected(&other)),
        },
    };
    let written = match (&args.output, &signer) {
        (Some(folder), Some(signer)) if !args.dry_run => hand_out(folder, signer.as_ref(), context)?,
        _ => Vec::new(),
    };
    let document = serde_json::json!({ "erasures": erasures, "certificates": written });
    context.output.show(&document, |_| text(&erasures, &written))
}

fn signer(args: &EraseArgs, context: &Context) -> Result<Box<dyn signing::Signer>, Failure> {
    let home = context.home.existing()?;
    let name = match &args.key {
        Some(name) => name.clone(),
        None => Config::of(home)?.seal.key,
    };
    keystore::Keyring::open(home.keys(), home.trust()).signer(&name).map_err(key::failure)
}

/// Signs and writes every certificate that waits; only then is what it says forgotten.
fn hand_out(folder: &Path, signer: &dyn signing::Signer, context: &Context) -> Result<Vec<String>, Failure> {
    let session = context.session()?;
    let certificates = match session.vault(&VaultCall::Certificates {}).map_err(failure)? {
        VaultAnswer::Certificates(certificates) => certificates,
        other => return Err(unexpected(&other)),
    };
    let unwritable = |e: std::io::Error| {
        let context = format!("cannot write certificates into {}", folder.display());
        Failure::environment(anyhow::Error::from(e).context(context))
            .hint("they wait in the vault: `custody audit erase --certificates -o DIR`")
    };
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let mut written = Vec::new();
    for certified in certificates {
        let path = folder.join(format!("{}.erasure.json", certified.erasure));
        let bytes = sign(&certified, signer)?;
        crate::aside::write(&path, &bytes).map_err(unwritable)?;
        session.vault(&VaultCall::Issued { id: certified.erasure }).map_err(failure)?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

fn sign(certified: &Certified, signer: &dyn signing::Signer) -> Result<Vec<u8>, Failure> {
    let payload = serde_json::to_vec(certified).map_err(Failure::environment)?;
    let envelope = Envelope::sign(certificate::PAYLOAD_TYPE, &payload, &[signer]).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("key {} does not sign", signer.key_id())))
    })?;
    let mut bytes = serde_json::to_vec(&envelope).map_err(Failure::environment)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn text(erasures: &[Erasure], written: &[String]) -> String {
    let mut text = String::new();
    if erasures.is_empty() && written.is_empty() {
        text.push_str("nothing is due\n");
    }
    for erasure in erasures {
        let verb = if erasure.dry_run { "would destroy" } else { "destroyed" };
        if erasure.destroyed > 0 {
            let event = erasure.index.map_or_else(String::new, |index| format!(" (event {index})"));
            text += &format!("{verb} {} keys of {}{event}\n", erasure.destroyed, erasure.subject);
        }
        if let Some(queued) = &erasure.queued {
            let due = queued.due.as_deref().unwrap_or("no date");
            let verb = if erasure.dry_run { "would queue" } else { "queued" };
            text += &format!("{verb} {}: {}; due {due}\n", erasure.subject, queued.waits_for);
        }
    }
    for path in written {
        text += &format!("certificate {path}\n");
    }
    text
}
