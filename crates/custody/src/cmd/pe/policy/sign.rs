//! `custody pe policy sign`.

use std::path::PathBuf;

use authenticode::{sign, timestamp};
use clap::Args;
use codeintegrity::{SigningKey, deployable, signable, write_binary};
use event::Fact;
use pkix::{Digest, der};
use serde::Serialize;

use super::file::{self, SIGNED_POLICY};
use crate::cmd::Context;
use crate::cmd::pe::credential::{Credential, CredentialArgs};
use crate::cmd::pe::tsa::AuthorityArgs;
use crate::failure::Outcome;
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
A machine that has loaded a signed policy takes only a next version that one of its UpdatePolicySigners signed, and is
hard to get rid of it otherwise. So this refuses what Windows refuses: no such signer or not this one, the option for
unsigned policies, a key that is not RSA of 2048, 3072 or 4096 bits.

Examples:
  $ custody pe policy sign strict.xml --key code.key.pem --cert code.pem -o strict.p7b";

#[derive(Args)]
pub(super) struct SignArgs {
    /// The policy, as XML or compiled
    policy: PathBuf,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    authorities: AuthorityArgs,
    /// The signed policy
    #[arg(long, short, value_name = "P7B")]
    output: PathBuf,
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Signed {
    act: &'static str,
    policy_id: String,
    version: String,
    output: String,
    sha256: String,
    signer: String,
    certificate_sha1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dated_by: Option<String>,
}

impl Recorded for Signed {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act)
            .subject("cert", self.certificate_sha1.clone())
            .object("policy", self.policy_id.clone())
            .object("path", self.output.clone())
            .object("sha256", self.sha256.clone());
        Some(fact.context("version", self.version.clone()).context("signer", self.signer.clone()))
    }
}

pub(super) fn run(args: &SignArgs, context: &Context) -> Outcome {
    let loaded = file::read(&args.policy)?;
    let credential = args.credential.open(Some(Digest::Sha256), context.output)?;
    let policy = &loaded.policy;
    super::weigh(&deployable(policy), "Windows would not take this policy", context)?;
    super::weigh(&signable(policy, &key(&credential)), "Windows would not take it signed", context)?;
    if context.home.existing().is_ok() {
        // A ledger that cannot be written to must show before there is a signature that it does not know of.
        context.session()?;
    }
    let binary = write_binary(policy).map_err(super::unwritable)?;
    let failed = |e| super::super::failure(e, &args.policy);
    let by = sign::Credential {
        signer: &*credential.signer,
        certificate: &credential.certificate,
        chain: &credential.chain,
    };
    let signature = sign::sign(SIGNED_POLICY, &der::octets(&binary), &[], &by).map_err(failed)?;
    let mut pkcs7 = signature.to_pkcs7().to_vec();
    let mut dated_by = None;
    if let Some((stamp, authority)) = args.authorities.ask(&signature.value, Digest::Sha256)? {
        pkcs7 = timestamp::attach(&pkcs7, &stamp).map_err(failed)?;
        dated_by = Some(authority);
    }
    super::build::write(&args.output, &pkcs7)?;
    let signed = Signed {
        act: "PE.POLICY.SIGNED",
        policy_id: policy.policy_id.to_string(),
        version: policy.version.to_string(),
        output: args.output.display().to_string(),
        sha256: hex::encode(Digest::Sha256.of(&binary)),
        signer: credential.certificate.subject.to_string(),
        certificate_sha1: credential.certificate.thumbprint(Digest::Sha1),
        dated_by,
    };
    context.conclude(&signed, |s| {
        format!(
            "signed policy {} in `{}`\n  version   {}\n  signer    {}\n",
            s.policy_id, s.output, s.version, s.signer
        )
    })
}

/// What the constraints are about: the key, and the certificates that the policy may know it by.
fn key(credential: &Credential) -> SigningKey {
    let certificates = std::iter::once(&credential.certificate).chain(&credential.chain);
    SigningKey {
        rsa_bits: credential.certificate.key.rsa_bits(),
        chain: certificates.map(super::tbs_hash).collect(),
    }
}
