//! A certificate of erasure, checked with nothing but the log's public key and a key that is trusted.

use std::path::Path;

use audit::LogKeys;
use audit::vault::{Certified, subject_commitment};
use signing::Verifier;
use signing::dsse::Envelope;
use signing::note::NoteVerifier;
use tlog::{InclusionProof, Sha256, TreeHash as _};

use super::super::{Context, key};
use super::prove::{open_checkpoint, read_text};
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

/// Type of the payload of a certificate's envelope.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.custody.erasure.v1+json";

/// Checks the certificate in a file: who signed it, that its leaf is in the log, and that the leaf says what it says.
pub(super) fn verify(
    path: &Path,
    log_key: Option<&Path>,
    signer: Option<&Path>,
    context: &Context,
) -> Outcome {
    let log_key = match log_key {
        Some(file) => NoteVerifier::parse(&read_text(file)?).map_err(Failure::input)?,
        None => LogKeys::of(context.home.existing()?.path()).verifier().map_err(failure)?,
    };
    let envelope = Envelope::parse(read_text(path)?.as_bytes()).map_err(Failure::input)?;
    let (payload, by) = opened(&envelope, signer, context)?;
    let certified: Certified = serde_json::from_slice(&payload).map_err(Failure::input)?;
    check(&certified, &log_key, path)?;
    let document = serde_json::json!({
        "holds": true, "erasure": certified.erasure, "subject": certified.subject.to_string(),
        "keys": certified.keys.len(), "origin": certified.origin, "index": certified.index, "signed_by": by,
    });
    context.output.show(&document, |_| {
        format!(
            "holds  {} keys of {} were destroyed\n  event      {} of {}\n  signed by  {by}\n",
            certified.keys.len(),
            certified.subject,
            certified.index,
            certified.origin,
        )
    })
}

/// The payload, and who signed it.
fn opened(
    envelope: &Envelope,
    signer: Option<&Path>,
    context: &Context,
) -> Result<(Vec<u8>, String), Failure> {
    let known: Vec<(String, signing::PublicKey)> = match signer {
        Some(file) => {
            let verifier = key::read_public(file)?;
            vec![(file.display().to_string(), verifier)]
        }
        None => {
            let home = context.home.existing()?;
            let ring = keystore::Keyring::open(home.keys(), home.trust());
            let keys = ring.verifiers().map_err(key::failure)?;
            keys.into_iter().map(|key| (format!("`{}`", key.name), key.verifier)).collect()
        }
    };
    let trusted: Vec<&dyn Verifier> = known.iter().map(|(_, key)| key as &dyn Verifier).collect();
    let (payload, good) = envelope.open(PAYLOAD_TYPE, &trusted).map_err(|e| {
        Failure::finding(anyhow::Error::from(e).context("the certificate is not signed by a trusted key"))
            .hint("name its signer's public key with `--signer`, or trust it with `custody key trust`")
    })?;
    let by = good.first().and_then(|at| known.get(*at)).map(|(name, _)| name.clone());
    Ok((payload, by.unwrap_or_default()))
}

fn check(certified: &Certified, log_key: &NoteVerifier, path: &Path) -> Outcome {
    let not = |why: &str| Failure::finding(anyhow::anyhow!("the certificate does not hold: {why}"));
    if certified.version != 1 {
        return Err(Failure::input(anyhow::anyhow!("version {} of the form is unknown", certified.version)));
    }
    let proof = InclusionProof::parse(&certified.proof).map_err(Failure::input)?;
    let checkpoint = open_checkpoint(&proof.note, log_key, path)?;
    proof.verify(&Sha256::leaf(certified.event.as_bytes()), &checkpoint).map_err(Failure::finding)?;
    if proof.index != certified.index || checkpoint.origin != certified.origin {
        return Err(not("its proof is about another event"));
    }
    let event = event::read_stored(certified.event.as_bytes()).map_err(|_| not("its leaf is no event"))?;
    if event.act != "ERASURE.DESTROYED" || event.obj.get("erasure") != Some(certified.erasure.as_str()) {
        return Err(not("its leaf is not that of this erasure"));
    }
    let salt = hex::decode(&certified.salt).ok().filter(|salt| salt.len() == 16);
    let salt = salt.ok_or_else(|| not("its salt is not 32 hexadecimal digits"))?;
    let commitment = hex::encode(subject_commitment(&salt, &certified.subject));
    if event.obj.get("subject_commitment") != Some(commitment.as_str()) {
        return Err(not("its leaf is about another subject"));
    }
    if event.ctx.get("keys").unwrap_or_default() != certified.keys.join(" ") {
        return Err(not("its leaf names other keys"));
    }
    Ok(())
}
