//! `custody pe sign`.

use std::path::{Path, PathBuf};

use authenticode::sign::{self, Prepared};
use authenticode::{OpusInfo, SealRoots, timestamp};
use clap::Args;
use event::Fact;
use pkix::Digest;
use serde::Serialize;

use super::batch;
use super::bound::Bound;
use super::credential::{Credential, CredentialArgs};
use super::replace::{Replacement, Synced};
use super::tsa::AuthorityArgs;
use crate::cmd::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
The file is replaced in one step when its signature is complete, or written to `-o`.

Examples:
  $ custody pe sign app.exe --key code.key.pem --cert code.pem -o signed.exe
  $ custody pe sign dist/app.exe --seal dist.seal.json --key code.key.pem --cert code.pem
  $ custody pe sign signed.exe --append --page-hashes --p12 code.p12 --password-file code.password
  $ custody pe sign app.exe --pkcs11 'pkcs11:token=release;object=code' --cert token.pem";

#[derive(Args)]
pub(super) struct SignArgs {
    /// Programs (EXE), libraries (DLL) or drivers (SYS)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    authorities: AuthorityArgs,
    /// Keep the signatures that the file has, and nest the new one in the first
    #[arg(long)]
    append: bool,
    /// Hash every page too, so that the kernel can check one at a time
    #[arg(long)]
    page_hashes: bool,
    /// Bind the tree that this seal is of, and that the files stand in, into the signature
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
    /// Name of the program, shown when Windows asks for consent
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Where more about the program is to be found
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Digest of the image [default: that of the key]
    #[arg(long, value_name = "NAME", value_parser = digest)]
    digest: Option<Digest>,
    /// Write here (a folder when there are several files) and leave the originals alone
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
}

fn digest(name: &str) -> Result<Digest, String> {
    match name {
        "sha256" => Ok(Digest::Sha256),
        "sha384" => Ok(Digest::Sha384),
        "sha512" => Ok(Digest::Sha512),
        "sm3" => Ok(Digest::Sm3),
        "sha1" => Err("Windows refuses it, and collisions can be made".to_owned()),
        _ => Err("known are sha256, sha384, sha512 and sm3".to_owned()),
    }
}

/// One file that was signed, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Signed {
    act: &'static str,
    file: String,
    output: String,
    digest: String,
    #[serde(rename = "digest_algorithm")]
    algorithm: String,
    signer: String,
    certificate_sha1: String,
    appended: bool,
    page_hashes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dated_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal_root: Option<String>,
}

impl Recorded for Signed {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act)
            .subject("cert", self.certificate_sha1.clone())
            .object("path", self.output.clone())
            .object(self.algorithm.clone(), self.digest.clone())
            .context("signer", self.signer.clone());
        Some(match &self.seal_root {
            Some(root) => fact.object("tree", root.clone()),
            None => fact,
        })
    }
}

impl Signed {
    fn lines(&self) -> String {
        format!(
            "signed `{}`\n  {:8}  {}\n  signer    {}\n",
            self.output, self.algorithm, self.digest, self.signer
        )
    }
}

pub(super) fn run(args: &SignArgs, context: &Context) -> Outcome {
    let credential = args.credential.open(args.digest, context.output)?;
    if context.home.existing().is_ok() {
        // A ledger that cannot be written to must show before there is a signature that it does not know of.
        context.session()?;
    }
    // Before the first file changes: the roots are those of the tree as it was sealed.
    let seals = Roots::new(args).of_all(context)?;
    let files: Vec<_> = args.files.iter().zip(seals).collect();
    batch::each(
        &files,
        |(file, _)| file,
        |(file, seal)| one(file, args, &credential, *seal),
        |signed| context.conclude(&signed, Signed::lines),
    )
}

/// The roots that files are to bind, computed once for each tree: signing does not change them.
struct Roots<'a> {
    args: &'a SignArgs,
    known: Vec<(PathBuf, SealRoots)>,
}

impl<'a> Roots<'a> {
    fn new(args: &'a SignArgs) -> Self {
        Self { args, known: Vec::new() }
    }

    fn of_all(mut self, context: &Context) -> Result<Vec<Option<SealRoots>>, Failure> {
        let Some(seal) = &self.args.seal else { return Ok(vec![None; self.args.files.len()]) };
        let bound = Bound::open(seal, &[], context)?;
        self.args.files.iter().map(|file| self.of(file, &bound, context).map(Some)).collect()
    }

    /// Those of the tree that a file stands in, which must still be what was sealed; only images may differ already,
    /// because they were signed before.
    fn of(&mut self, file: &Path, bound: &Bound, context: &Context) -> Result<SealRoots, Failure> {
        let directory = bound.directory_of(file)?;
        if let Some((_, roots)) = self.known.iter().find(|(known, _)| *known == directory) {
            return Ok(*roots);
        }
        let observed = bound.observe(&directory, context)?;
        if let Some(other) = observed.others().first() {
            let what =
                format!("`{}` is not what `{}` seals: {other} differs", directory.display(), bound.name());
            return Err(Failure::finding(anyhow::anyhow!(what))
                .hint("put back what was sealed, or seal it anew with `custody seal create`"));
        }
        let roots = observed.roots(bound)?;
        self.known.push((directory, roots));
        Ok(roots)
    }
}

/// Where a signed file goes.
fn target(file: &Path, args: &SignArgs) -> Result<PathBuf, Failure> {
    let Some(output) = &args.output else { return Ok(file.to_owned()) };
    if output.is_dir() {
        return Ok(output.join(file.file_name().unwrap_or_default()));
    }
    if args.files.len() > 1 {
        let what = format!("`{}` is no folder, and there are {} files", output.display(), args.files.len());
        return Err(Failure::input(anyhow::anyhow!(what)).hint("name a folder that exists with `-o DIR`"));
    }
    Ok(output.clone())
}

fn one(
    file: &Path,
    args: &SignArgs,
    credential: &Credential,
    seal: Option<SealRoots>,
) -> Result<(Signed, Synced), Failure> {
    let failed = |e| super::failure(e, file);
    let target = target(file, args)?;
    let mut replacement = Replacement::open(file, &target)?;
    let options = sign::Options {
        digest: args.digest,
        page_hashes: args.page_hashes,
        opus: OpusInfo { name: args.name.clone(), url: args.url.clone() },
        seal,
    };
    let algorithm = credential.signer.algorithm();
    let prepared =
        Prepared::copy(&mut replacement.source, &mut replacement.copy, algorithm, options).map_err(failed)?;
    let signature = prepared
        .signature(&sign::Credential {
            signer: &*credential.signer,
            certificate: &credential.certificate,
            chain: &credential.chain,
        })
        .map_err(failed)?;
    let (mut pkcs7, value) = signature.into_parts();
    let mut dated_by = None;
    if let Some((stamp, authority)) = args.authorities.ask(&value, prepared.digest().0)? {
        pkcs7 = timestamp::attach(&pkcs7, &stamp).map_err(failed)?;
        dated_by = Some(authority);
    }
    let existing = if args.append { prepared.existing().map_err(failed)? } else { None };
    if let Some(first) = &existing {
        pkcs7 = timestamp::nest(first, &pkcs7).map_err(failed)?;
    }
    let (algorithm, digest) = prepared.digest();
    let signed = Signed {
        act: "PE.SIGNED",
        file: file.display().to_string(),
        output: target.display().to_string(),
        digest: hex::encode(digest),
        algorithm: algorithm.to_string(),
        signer: credential.certificate.subject.to_string(),
        certificate_sha1: credential.certificate.thumbprint(Digest::Sha1),
        appended: existing.is_some(),
        page_hashes: args.page_hashes,
        dated_by,
        seal_root: seal.map(|roots| hex::encode(roots.sha256)),
    };
    prepared.finish(&mut replacement.copy, &pkcs7).map_err(failed)?;
    Ok((signed, replacement.synced()?))
}
