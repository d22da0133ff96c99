//! `custody pe key` and `custody pe csr`.

use std::path::PathBuf;

use clap::Args;
use pkix::request;
use serde::Serialize;
use signing::Signer as _;

use super::credential;
use crate::aside;
use crate::cmd::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const KEY_EXAMPLES: &str = "\
The token is asked afterwards whether the key could ever leave it; if it could, the command fails.
The library stands in the URI (`module-path`) or in PKCS11_MODULE.

Examples:
  $ custody pe key --pkcs11 'pkcs11:token=release;object=code-2026?pin-source=file:pin' --algorithm p256";

pub(super) const CSR_EXAMPLES: &str = "\
Examples:
  $ custody pe csr --key code.key.pem --subject 'CN=Example Ltd,O=Example Ltd,C=DE' -o code.csr";

/// Arguments of `custody pe key`.
#[derive(Args)]
pub(super) struct NewKeyArgs {
    #[command(flatten)]
    key: credential::KeyArgs,
    /// rsa2048, rsa3072, rsa4096, p256 or p384
    #[arg(long, value_name = "NAME", default_value = "rsa3072", value_parser = ["rsa2048", "rsa3072", "rsa4096", "p256", "p384"])]
    algorithm: String,
}

/// Arguments of `custody pe csr`.
#[derive(Args)]
pub(super) struct CsrArgs {
    #[command(flatten)]
    key: credential::KeyArgs,
    /// Whose key it is, as CN=Example Ltd,O=Example Ltd,C=DE
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// Where to write it, PEM [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A key that was made, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Made {
    act: &'static str,
    key_id: String,
    algorithm: String,
    extractable: bool,
    public_key: String,
}

impl Recorded for Made {
    fn fact(&self) -> Option<event::Fact> {
        let fact = event::Fact::new(self.act).subject("svc", "custody").object("key", self.key_id.clone());
        Some(fact.context("algorithm", self.algorithm.clone()).context("place", "token"))
    }
}

#[cfg(feature = "pkcs11")]
pub(super) fn key(args: &NewKeyArgs, context: &Context) -> Outcome {
    use keystore::pkcs11::NewKey;
    let kind = match args.algorithm.as_str() {
        "rsa2048" => NewKey::Rsa(2048),
        "rsa4096" => NewKey::Rsa(4096),
        "p256" => NewKey::P256,
        "p384" => NewKey::P384,
        _ => NewKey::Rsa(3072),
    };
    if context.home.existing().is_ok() {
        // A ledger that cannot be written to must show before there is a key that it does not know of.
        context.session()?;
    }
    let signer = args.key.generate(kind)?;
    let made = Made {
        act: "KEY.CREATED",
        key_id: signer.key_id().to_string(),
        algorithm: args.algorithm.clone(),
        extractable: signer.facts().extractable,
        public_key: pkix::pem::encode("PUBLIC KEY", &signer.public_key_der()),
    };
    context.conclude(&made, |m| {
        format!("made key {} ({}), which cannot leave its token\n", m.key_id, m.algorithm)
    })
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn key(_: &NewKeyArgs, _: &Context) -> Outcome {
    Err(Failure::environment(anyhow::anyhow!("this build has no PKCS #11"))
        .hint("build it with the feature `pkcs11`"))
}

pub(super) fn csr(args: &CsrArgs, context: &Context) -> Outcome {
    let signer = args.key.open(None, context.output)?.signer;
    let algorithm = authenticode::sign::request_algorithm(signer.algorithm()).map_err(Failure::input)?;
    let subject = request::name(&args.subject).map_err(Failure::input)?;
    let wanted = request::Request::new(&subject, &signer.public_key_der());
    let signature = signer.sign(wanted.to_be_signed()).map_err(Failure::environment)?;
    let pem = pkix::pem::encode("CERTIFICATE REQUEST", &wanted.finish(&algorithm, &signature));
    match &args.output {
        None => context.output.text(&pem),
        Some(file) => aside::write(file, pem.as_bytes()).map_err(|e| {
            Failure::environment(anyhow::Error::from(e).context(format!("cannot write `{}`", file.display())))
        }),
    }
}
