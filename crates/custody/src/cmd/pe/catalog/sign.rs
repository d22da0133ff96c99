//! `custody pe catalog sign`.

use std::path::PathBuf;

use authenticode::catalog::{Catalog, MAX_CATALOG};
use authenticode::{OpusInfo, oid, sign, timestamp};
use clap::Args;
use event::Fact;
use pkix::Digest;
use pkix::cms::SignedData;
use serde::Serialize;

use crate::aside;
use crate::cmd::Context;
use crate::cmd::pe::credential::{CredentialArgs, read_up_to};
use crate::cmd::pe::tsa::AuthorityArgs;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
A signature that it has already is replaced. The list itself stays as it is, byte for byte.

Examples:
  $ custody pe catalog sign dist.cat --key code.key.pem --cert code.pem
  $ custody pe catalog sign dist.cat --p12 code.p12 --password-file code.password -o signed.cat";

#[derive(Args)]
pub(super) struct SignArgs {
    /// The catalogue
    catalog: PathBuf,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    authorities: AuthorityArgs,
    /// Write here and leave the original alone
    #[arg(long, short, value_name = "CAT")]
    output: Option<PathBuf>,
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Signed {
    act: &'static str,
    catalog: String,
    output: String,
    members: usize,
    list_sha256: String,
    signer: String,
    certificate_sha1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dated_by: Option<String>,
}

impl Recorded for Signed {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act)
            .subject("cert", self.certificate_sha1.clone())
            .object("path", self.output.clone())
            .object("sha256", self.list_sha256.clone());
        Some(fact.context("members", self.members.to_string()).context("signer", self.signer.clone()))
    }
}

pub(super) fn run(args: &SignArgs, context: &Context) -> Outcome {
    let failed = |e| super::super::failure(e, &args.catalog);
    let bytes = read_up_to(&args.catalog, MAX_CATALOG as u64)?;
    // Whoever signs says that it is a list of files: so it is read first.
    let catalog = Catalog::from_file(&bytes).map_err(failed)?;
    let content = SignedData::read(&bytes).map_err(|e| super::super::unusable(e, &args.catalog))?.content;
    let list = content.map_or(&[][..], |content| content.raw);
    let credential = args.credential.open(None, context.output)?;
    if context.home.existing().is_ok() {
        // A ledger that cannot be written to must show before there is a signature that it does not know of.
        context.session()?;
    }
    let attributes = sign::attributes(&OpusInfo::default());
    let by = sign::Credential {
        signer: &*credential.signer,
        certificate: &credential.certificate,
        chain: &credential.chain,
    };
    let signature = sign::sign(oid::CTL, list, &attributes, &by).map_err(failed)?;
    let mut pkcs7 = signature.to_pkcs7().to_vec();
    let mut dated_by = None;
    if let Some((stamp, authority)) = args.authorities.ask(&signature.value, Digest::Sha256)? {
        pkcs7 = timestamp::attach(&pkcs7, &stamp).map_err(failed)?;
        dated_by = Some(authority);
    }
    let output = args.output.as_ref().unwrap_or(&args.catalog);
    aside::write(output, &pkcs7).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write `{}`", output.display())))
    })?;
    let signed = Signed {
        act: "PE.CATALOG.SIGNED",
        catalog: args.catalog.display().to_string(),
        output: output.display().to_string(),
        members: catalog.members.len(),
        list_sha256: hex::encode(Digest::Sha256.of(list)),
        signer: credential.certificate.subject.to_string(),
        certificate_sha1: credential.certificate.thumbprint(Digest::Sha1),
        dated_by,
    };
    context.conclude(&signed, |s| {
        format!("signed `{}`\n  members   {}\n  signer    {}\n", s.output, s.members, s.signer)
    })
}
