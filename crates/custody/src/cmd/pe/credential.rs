//! Whose key signs: from PEM, PKCS #12 or a token.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use pkix::{Certificate, Digest};
use signing::{Algorithm, RsaSigner, Signer, keys};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::given;

/// Keys, certificates and passwords are kilobytes.
const MAX_FILE: u64 = 1 << 20;

#[derive(Args)]
pub(super) struct CredentialArgs {
    /// Private key, PEM (PKCS #8, PKCS #1 or SEC 1)
    #[arg(long, value_name = "PEM", requires = "cert", help_heading = "Key")]
    key: Option<PathBuf>,
    /// Its certificate, PEM or DER; more in the same file travel along
    #[arg(long, value_name = "CERT", help_heading = "Key")]
    cert: Option<PathBuf>,
    /// One more certificate that travels along, as a cross-certificate (repeatable)
    #[arg(long, value_name = "CERT", help_heading = "Key")]
    ac: Vec<PathBuf>,
}

/// A key with its certificate and those that travel along.
pub(super) struct Credential {
    pub(super) signer: Box<dyn Signer>,
    pub(super) certificate: Certificate,
    pub(super) chain: Vec<Certificate>,
}

impl CredentialArgs {
    /// Opens the key; an RSA key signs under `digest`, if one is asked for.
    pub(super) fn open(&self, digest: Option<Digest>) -> Result<Credential, Failure> {
        let key = self.key.as_ref().ok_or_else(|| {
            Failure::input(anyhow::anyhow!("no key was named")).hint("name one with `--key KEY --cert CERT`")
        })?;
        let signer = signer(key, digest)?;
        let mut certificates = match &self.cert {
            Some(cert) => read_certificates(cert)?,
            None => Vec::new(),
        };
        for file in &self.ac {
            certificates.extend(read_certificates(file)?);
        }
        let spki = signer.public_key_der();
        let own =
            certificates.iter().position(|certificate| certificate.key.spki == spki).ok_or_else(|| {
                Failure::input(anyhow::anyhow!("none of the certificates is of this key"))
                    .hint("give the one that the authority issued for it with `--cert CERT`")
            })?;
        let certificate = certificates.remove(own);
        Ok(Credential { signer, certificate, chain: certificates })
    }
}

fn signer(file: &Path, digest: Option<Digest>) -> Result<Box<dyn Signer>, Failure> {
    let bytes = read(file)?;
    let failed = |e: signing::SigningError| {
        Failure::input(anyhow::Error::from(e).context(format!("cannot use key `{}`", file.display())))
    };
    let pem = std::str::from_utf8(&bytes).map_err(Failure::input)?;
    let signer = keys::signer_from_pem(pem).map_err(failed)?;
    match (signer.algorithm(), digest) {
        (Algorithm::RsaSha256, Some(Digest::Sha384)) => rsa(pem, Algorithm::RsaSha384).map_err(failed),
        (Algorithm::RsaSha256, Some(Digest::Sha512)) => rsa(pem, Algorithm::RsaSha512).map_err(failed),
        _ => Ok(signer),
    }
}

fn rsa(pem: &str, algorithm: Algorithm) -> Result<Box<dyn Signer>, signing::SigningError> {
    let signer: RsaSigner = keys::rsa_from_pem(pem)?;
    Ok(Box::new(signer.under(algorithm)?))
}

/// The certificates of a file.
pub(super) fn read_certificates(file: &Path) -> Result<Vec<Certificate>, Failure> {
    Certificate::from_pem_or_der(&read(file)?).map_err(|e| super::unusable(e, file))
}

/// A small file that may hold a secret.
pub(super) fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    read_up_to(file, MAX_FILE)
}

/// A file of at most `limit` bytes.
pub(super) fn read_up_to(file: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |e: std::io::Error| {
        let misnamed = given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read `{}`", file.display()));
        if misnamed { Failure::input(error) } else { Failure::environment(error) }
    };
    let opened = given::open(file).map_err(failed)?;
    // The whole room at once: a buffer that grew would leave unwiped copies of a secret behind.
    let size = opened.metadata().map_or(0, |m| m.len()).min(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    opened.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::input(anyhow::anyhow!(
            "`{}` is larger than {} MiB",
            file.display(),
            limit >> 20
        )));
    }
    Ok(bytes)
}
