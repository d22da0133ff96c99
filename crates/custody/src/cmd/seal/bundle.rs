//! `custody seal bundle`: a signature of a seal as a Sigstore bundle, for tools that know those; or a new one without a
//! lasting key, by whoever an identity token names.

use std::path::PathBuf;

use anchor::Http;
use anchor::rekor::{Api, Rekor, Verifier, key_hint};
use anchor::sigstore::bundle::RawBytes;
use anchor::sigstore::{Bundle, IN_TOTO, Keyless};
use anchor::tsa::Tsa;
use clap::Args;
use event::Fact;
use seal::{Seal, SealError};
use serde::Serialize;
use signing::dsse::Envelope;
use signing::{Algorithm, Verifier as _};
use zeroize::Zeroizing;

use super::trust::{self, Source, Trust};
use super::{Context, concluded, keyring, malformed, read};
use crate::aside;
use crate::cmd::anchor::{failure, web_http};
use crate::cmd::pe::credential;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const HELP: &str = "\
A bundle holds one signature, by Ed25519 or ECDSA. With `--fulcio` the signature is a new one, by a key that is
made for it, certified for whoever the identity token names, and forgotten.

Examples:
  $ custody seal bundle bin.seal.json -o bin.sigstore.json
  $ custody seal bundle bin.seal.json --fulcio https://ca.example --identity-token jwt -o b.json";

#[derive(Args)]
pub(super) struct BundleArgs {
    /// The seal
    seal: PathBuf,
    /// Where to write the bundle
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The signature by this key (its id, or the beginning of it) [default: the first that a bundle can hold]
    #[arg(long, value_name = "KEY_ID", conflicts_with = "fulcio")]
    signer: Option<String>,
    /// Sign anew, with a certificate of this Fulcio
    #[arg(long, value_name = "URL", requires = "identity_token")]
    fulcio: Option<String>,
    /// File with the OIDC identity token
    #[arg(long, value_name = "FILE")]
    identity_token: Option<PathBuf>,
    /// Take the head of the seal, some hundred bytes, instead of its whole statement
    #[arg(long)]
    head: bool,
    /// Enter the signature in this Rekor log, version 2
    #[arg(long, value_name = "URL", conflicts_with = "rekor_v1")]
    rekor: Option<String>,
    /// Enter the signature in this Rekor log, version 1
    #[arg(long, value_name = "URL")]
    rekor_v1: Option<String>,
    /// Have the signature dated by this timestamp authority
    #[arg(long, value_name = "URL")]
    tsa: Option<String>,
    /// Trust this public key too, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Trust these authorities for https instead of those of the system (PEM; repeatable)
    #[arg(long, value_name = "PEM")]
    web_ca: Vec<PathBuf>,
}

/// What was written, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Exported {
    act: &'static str,
    seal: String,
    tree: String,
    /// Of the key that signed; of a keyless signature its certificate's subject.
    signer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_index: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    output: String,
}

impl Recorded for Exported {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act)
            .subject("svc", "custody")
            .object("seal", self.seal.clone())
            .object("tree", self.tree.clone())
            .context("signer", self.signer.clone());
        let more = [
            ("log", self.log.clone()),
            ("log_index", self.log_index.map(|index| index.to_string())),
            ("uuid", self.uuid.clone()),
        ];
        Some(more.into_iter().fold(fact, |fact, (name, value)| match value {
            Some(value) => fact.context(name, value),
            None => fact,
        }))
    }
}

/// A bundle before it is entered anywhere, and whose signature is in it.
struct Signed {
    bundle: Bundle,
    der: Vec<u8>,
    certificate: bool,
    algorithm: Algorithm,
    signer: String,
}

pub(super) fn run(args: &BundleArgs, context: &Context) -> Outcome {
    let ring = keyring(context);
    let source = Source { file: &args.seal, trust: &args.trust };
    let bytes = read(&args.seal)?;
    let trust = Trust::of(source, ring.as_ref())?;
    let refused = |error| trust::refused(error, &bytes, source, ring.as_ref());
    let opened = Seal::open(&bytes, &trust.verifiers()).map_err(refused)?;
    trust.accept(&opened.signers, source)?;
    let envelope = Seal::envelope(&bytes, args.head).map_err(|e| match e {
        SealError::NoHead => Failure::input(e).hint("`custody seal sign` adds a head; or leave out `--head`"),
        other => malformed(other, &args.seal),
    })?;
    let http = web_http(&args.web_ca)?;
    let signed = match (&args.fulcio, &args.identity_token) {
        (Some(url), Some(token)) => keyless(&envelope, url, &read_token(token)?, &http)?,
        _ => existing(&envelope, &trust, &opened.signers, args.signer.as_deref())?,
    };
    let (bundle, uuid) =
        enter(args, signed.bundle, &http, &signed.der, signed.certificate, signed.algorithm)?;
    let json = bundle.to_json().map_err(failure)?;
    let entry = bundle.verification_material.tlog_entries.first();
    let exported = Exported {
        act: "SEAL.BUNDLED",
        seal: args.seal.display().to_string(),
        tree: hex::encode(opened.seal.tree().roots().sha256),
        signer: signed.signer,
        log: entry.and(args.rekor.clone().or_else(|| args.rekor_v1.clone())),
        log_index: entry.map(|entry| entry.log_index),
        uuid,
        output: args.output.display().to_string(),
    };
    aside::write(&args.output, &json).map_err(|e| {
        let error = anyhow::Error::from(e).context(format!("cannot write `{}`", args.output.display()));
        Failure::environment(error).hint("name another place with `-o FILE`")
    })?;
    concluded(context, &exported, Exported::lines)
}

fn read_token(file: &std::path::Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = credential::read(file)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::input(anyhow::anyhow!("`{}` is no token", file.display())))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// A new signature of the payload, by a key of one use.
fn keyless(
    envelope: &Envelope,
    url: &str,
    token: &Zeroizing<String>,
    http: &Http,
) -> Result<Signed, Failure> {
    let payload = envelope.unchecked_payload().map_err(Failure::input)?;
    let Keyless { key, certificate } = Keyless::new(http, url, token).map_err(failure)?;
    let envelope = Envelope::sign(IN_TOTO, &payload, &[&key]).map_err(Failure::environment)?;
    let der = certificate.as_der().to_vec();
    let signer = anchor::sigstore::identity_of(&certificate).map_or_else(
        || certificate.subject.to_string(),
        |identity| format!("{} ({})", identity.name, identity.issuer),
    );
    let mut bundle = Bundle::of_statement(envelope, String::new());
    bundle.verification_material.public_key = None;
    bundle.verification_material.certificate = Some(RawBytes { raw_bytes: der.clone() });
    Ok(Signed { bundle, der, certificate: true, algorithm: Algorithm::EcdsaP256, signer })
}

/// A signature that is there, by a key that is trusted and that bundles know.
fn existing(
    envelope: &Envelope,
    trust: &Trust,
    signers: &[usize],
    wanted: Option<&str>,
) -> Result<Signed, Failure> {
    let keys = trust.keys(signers);
    let known =
        |algorithm| matches!(algorithm, Algorithm::Ed25519 | Algorithm::EcdsaP256 | Algorithm::EcdsaP384);
    let key = keys
        .iter()
        .filter(|key| wanted.is_none_or(|id| key.key_id().as_str().starts_with(id)))
        .find(|key| known(key.algorithm()))
        .ok_or_else(|| {
            Failure::input(anyhow::anyhow!("no such signature by Ed25519 or ECDSA that is trusted here"))
                .hint("add one with `custody seal sign`, or name its key with `--trust` and `--signer`")
        })?;
    let id = key.key_id().to_string();
    let one = envelope.signatures.iter().find(|signature| signature.keyid == id);
    let one = one.ok_or_else(|| Failure::input(anyhow::anyhow!("the envelope does not name key {id}")))?;
    let envelope = Envelope { signatures: vec![one.clone()], ..envelope.clone() };
    let der = key.to_spki_der().to_vec();
    let bundle = Bundle::of_statement(envelope, key_hint(&der));
    Ok(Signed { bundle, der, certificate: false, algorithm: key.algorithm(), signer: id })
}

fn enter(
    args: &BundleArgs,
    bundle: Bundle,
    http: &Http,
    der: &[u8],
    certificate: bool,
    algorithm: Algorithm,
) -> Result<(Bundle, Option<String>), Failure> {
    let (url, api) = match (&args.rekor, &args.rekor_v1) {
        (Some(url), _) => (url, Api::V2),
        (None, Some(url)) => (url, Api::V1),
        (None, None) => {
            let tsa = args.tsa.as_ref().map(|url| Tsa::new(http.clone(), url.clone()));
            return Ok((anchor::rekor::dated(bundle, tsa.as_ref()).map_err(failure)?, None));
        }
    };
    let log = Rekor::new(http.clone(), url, api);
    let log = match &args.tsa {
        Some(tsa) => log.dated_by(Tsa::new(http.clone(), tsa.clone())),
        None => log,
    };
    log.bundle(bundle, Verifier { der, certificate, algorithm }).map_err(failure)
}

impl Exported {
    fn lines(&self) -> String {
        let mut text = format!("bundled `{}`\n  signer   {}\n", self.seal, self.signer);
        let facts = [
            ("log", self.log.clone()),
            ("index", self.log_index.map(|i| i.to_string())),
            ("uuid", self.uuid.clone()),
        ];
        for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            text += &format!("  {name:8} {value}\n");
        }
        text + &format!("  bundle   {}\n", self.output)
    }
}
