//! `custody seal verify`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::Options;
use keystore::{Keyring, Status};
use seal::{Comparison, Opened, Seal, SealError};
use signing::{Ed25519Verifier, KeyId, Verifier};

use super::report::{Report, Signer};
use super::{Context, LimitArgs, collect, concluded, keyring, malformed};
use crate::cmd::key;
use crate::failure::{Failure, Outcome};
use crate::given;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Directory, archive or file
    path: PathBuf,
    /// The seal
    #[arg(long, value_name = "FILE")]
    seal: PathBuf,
    /// Trust this public key too, for this once (PEM; repeatable)
    #[arg(long, value_name = "PEM")]
    trust: Vec<PathBuf>,
    /// Compare what an archive holds and not its own bytes, as if it were unpacked; several times as fast
    #[arg(long)]
    entries_only: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    let ring = keyring(context);
    let source = Source { file: &args.seal, trust: &args.trust };
    let (seal, signed_by) = open(&read(&args.seal)?, source, ring.as_ref())?;
    let options = match args.entries_only {
        true => Options::for_entries(&seal, args.limits.limits()),
        false => Options::for_comparison(&seal, args.limits.limits()),
    };
    let found = collect(&args.path, &options, context)?;
    let comparison = Comparison::of(&seal, &found.observation);
    let mut report = Report::new(&args.path, &args.seal, &seal, signed_by, &comparison);
    report.entries_only |= args.entries_only;
    if let Some(note) = report.note() {
        context.output.remark(&note);
    }
    concluded(context, &report, Report::lines)?;
    match report.holds() {
        true => Ok(()),
        false => Err(Failure::finding(anyhow::anyhow!(
            "`{}` is not what `{}` seals: {}",
            args.path.display(),
            args.seal.display(),
            report.summary()
        ))
        .hint("put back what was sealed; if the change is meant, seal it anew with `custody seal create`")),
    }
}

/// A key that counts for this verification.
struct Trusted {
    name: String,
    verifier: Ed25519Verifier,
}

/// A seal as the command line names it.
#[derive(Clone, Copy)]
pub(in crate::cmd) struct Source<'a> {
    pub(in crate::cmd) file: &'a Path,
    /// Public keys that are trusted besides the home's.
    pub(in crate::cmd) trust: &'a [PathBuf],
}

/// Opens the seal whose `bytes` were read from `source`: somebody who is trusted now must have signed it.
pub(in crate::cmd) fn open(
    bytes: &[u8],
    source: Source<'_>,
    ring: Option<&Keyring>,
) -> Result<(Seal, Vec<Signer>), Failure> {
    let trusted = trusted(source, ring)?;
    let verifiers: Vec<&dyn Verifier> = trusted.iter().map(|t| &t.verifier as &dyn Verifier).collect();
    let Opened { seal, signers } =
        Seal::open(bytes, &verifiers).map_err(|e| refused(e, bytes, source, ring))?;
    let signers = signers.into_iter().filter_map(|at| trusted.get(at));
    let signers = signers.map(|t| Signer { name: t.name.clone(), key_id: t.verifier.key_id().to_string() });
    Ok((seal, signers.collect()))
}

/// The bytes of a seal.
pub(in crate::cmd) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| {
        let misnamed = given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read seal `{}`", file.display()));
        match misnamed {
            true => Failure::input(error).hint("name the file that `custody seal create -o FILE` wrote"),
            false => Failure::environment(error),
        }
    };
    let limit = seal::MAX_ENVELOPE as u64 + 1;
    let mut bytes = Vec::new();
    given::open(file).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

/// The home's keys and those named on the command line. A key that the home revoked does not count, whoever names it.
fn trusted(source: Source<'_>, ring: Option<&Keyring>) -> Result<Vec<Trusted>, Failure> {
    let mut out = Vec::new();
    for file in source.trust {
        let verifier = key::read_public(file)?;
        if let Some(Status::Revoked(r)) = status(ring, &verifier.key_id())? {
            let what = format!("key {} was revoked: {}", verifier.key_id(), r.reason);
            return Err(Failure::finding(anyhow::anyhow!(what)).hint("use a seal that another key signed"));
        }
        out.push(Trusted { name: file.display().to_string(), verifier });
    }
    let own = ring.map(Keyring::verifiers).transpose().map_err(key::failure)?.unwrap_or_default();
    out.extend(own.into_iter().map(|k| Trusted { name: k.name.to_string(), verifier: k.verifier }));
    Ok(out)
}

fn status(ring: Option<&Keyring>, key: &KeyId) -> Result<Option<Status>, Failure> {
    ring.map(|ring| ring.status(key)).transpose().map_err(key::failure)
}

fn refused(error: SealError, bytes: &[u8], source: Source<'_>, ring: Option<&Keyring>) -> Failure {
    if let SealError::Signature(signing::SigningError::NoTrustedSignature { .. }) = error {
        return untrusted(bytes, source, ring);
    }
    let finding = matches!(
        error,
        SealError::Signature(signing::SigningError::BadSignature { .. }) | SealError::RootMismatch { .. }
    );
    let unknown = matches!(error, SealError::Unknown { .. });
    let failure = match finding {
        true => Failure::finding(
            anyhow::Error::from(error).context(format!("`{}` was tampered with", source.file.display())),
        ),
        false => malformed(error, source.file),
    };
    if unknown { failure.hint("a newer `custody` may know it") } else { failure }
}

fn untrusted(bytes: &[u8], source: Source<'_>, ring: Option<&Keyring>) -> Failure {
    let signers = Seal::unchecked_signers(bytes).unwrap_or_default();
    let keys = ring.and_then(|r| r.keys().ok()).unwrap_or_default();
    let revoked = keys.iter().find_map(|k| match &k.status {
        Status::Revoked(r) if signers.iter().any(|s| s == k.key_id.as_str()) => Some((k, r)),
        _ => None,
    });
    if let Some((key, revocation)) = revoked {
        let what = format!(
            "`{}` is signed by key `{}`, which was revoked: {}",
            source.file.display(),
            key.name,
            revocation.reason
        );
        return Failure::finding(anyhow::anyhow!(what)).hint("use a seal that another key signed");
    }
    if signers.is_empty() {
        return Failure::finding(anyhow::anyhow!("`{}` is not signed", source.file.display()))
            .hint("ask its maker for one that `custody seal create` signed");
    }
    let by = format!("key {}", signers.join(", "));
    Failure::finding(anyhow::anyhow!("`{}` is signed by {by}, which is not trusted here", source.file.display()))
        .hint("if you know whose key that is: `custody key trust FILE.pub.pem --name NAME`, or `--trust FILE.pub.pem`")
}
