//! Whose key signs: from PEM, PKCS #12 or a token.

use std::io::Read as _;
use std::path::{Path, PathBuf};

#[cfg(feature = "pkcs11")]
use std::sync::Arc;

use clap::Args;
#[cfg(feature = "pkcs11")]
use keystore::pkcs11::{Token, TokenSigner, Uri};
use keystore::{KeystoreError, pkcs12};
use pkix::{Certificate, Digest};
use signing::{Algorithm, RsaSigner, Signer, keys};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::given;
use crate::output::Output;

/// Keys, certificates and passwords are kilobytes.
const MAX_FILE: u64 = 1 << 20;

#[derive(Args)]
pub(super) struct CredentialArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Certificate of the key, PEM or DER; more in the same file travel along
    #[arg(long, value_name = "CERT", help_heading = "Key")]
    cert: Option<PathBuf>,
    /// One more certificate that travels along, as a cross-certificate (repeatable)
    #[arg(long, value_name = "CERT", help_heading = "Key")]
    ac: Vec<PathBuf>,
}

/// Where a private key is.
#[derive(Args)]
pub(in crate::cmd) struct KeyArgs {
    /// Private key, PEM (PKCS #8, PKCS #1 or SEC 1); its certificate comes with `--cert`
    #[arg(long, value_name = "PEM", help_heading = "Key")]
    pub(in crate::cmd) key: Option<PathBuf>,
    /// Key and certificates, PKCS #12
    #[arg(long, value_name = "FILE", conflicts_with = "key", help_heading = "Key")]
    pub(in crate::cmd) p12: Option<PathBuf>,
    /// Key on a token, as pkcs11:token=T;object=K?module-path=/LIB.so (RFC 7512)
    #[arg(long, value_name = "URI", conflicts_with_all = ["key", "p12"], help_heading = "Key")]
    pub(in crate::cmd) pkcs11: Option<String>,
    /// The key on the token whose certificate has this SHA-1 or SHA-256 thumbprint
    #[arg(long, value_name = "HEX", requires = "pkcs11", help_heading = "Key")]
    pub(in crate::cmd) thumbprint: Option<String>,
    /// File with the password or PIN, its first line; asked for on a terminal when absent
    #[arg(long, value_name = "FILE", help_heading = "Key")]
    pub(in crate::cmd) password_file: Option<PathBuf>,
}

/// A key with its certificate and those that travel along.
pub(super) struct Credential {
    pub(super) signer: Box<dyn Signer>,
    pub(super) certificate: Certificate,
    pub(super) chain: Vec<Certificate>,
}

/// A key and the certificates that were found beside it.
pub(in crate::cmd) struct Found {
    pub(in crate::cmd) signer: Box<dyn Signer>,
    pub(super) certificates: Vec<Certificate>,
}

impl CredentialArgs {
    /// Opens the key; an RSA key signs under `digest`, if one is asked for.
    pub(super) fn open(&self, digest: Option<Digest>, output: Output) -> Result<Credential, Failure> {
        let Found { signer, certificates: found } = self.key.open(digest, output)?;
        let mut certificates = match &self.cert {
            Some(cert) => read_certificates(cert)?,
            None => Vec::new(),
        };
        certificates.extend(found);
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

impl KeyArgs {
    pub(in crate::cmd) fn open(&self, digest: Option<Digest>, output: Output) -> Result<Found, Failure> {
        match (&self.key, &self.p12, &self.pkcs11) {
            (Some(file), ..) => {
                let signer = pem(file, digest, || self.password(&format!("Password of {}", file.display())))?;
                Ok(Found { signer, certificates: Vec::new() })
            }
            (_, Some(file), _) => self.open_p12(file, digest),
            (.., Some(uri)) => self.open_token(uri, digest, output),
            _ => Err(Failure::input(anyhow::anyhow!("no key was named"))
                .hint("name one with `--key KEY --cert CERT`, `--p12 FILE` or `--pkcs11 URI`")),
        }
    }

    /// The password: from its file, else from a person.
    pub(super) fn password(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        match &self.password_file {
            Some(file) => first_line(file),
            None => super::prompt::ask(prompt),
        }
    }

    fn open_p12(&self, file: &Path, digest: Option<Digest>) -> Result<Found, Failure> {
        let bytes = read(file)?;
        let password = self.password(&format!("Password of {}", file.display()))?;
        let opened = pkcs12::open(&bytes, &password).map_err(|e| refused(e, file))?;
        // Usually one key; with several, the one that has a certificate.
        for key in &opened.keys {
            let signer = from_pkcs8(key, digest).map_err(|e| unreadable(e, file))?;
            let spki = signer.public_key_der();
            if opened.keys.len() == 1 || opened.certificates.iter().any(|c| c.key.spki == spki) {
                return Ok(Found { signer, certificates: opened.certificates });
            }
        }
        Err(Failure::input(anyhow::anyhow!("there is no private key in `{}`", file.display())))
    }
}

#[cfg(feature = "pkcs11")]
impl KeyArgs {
    /// The token that `--pkcs11` names, logged in.
    pub(super) fn token(&self, text: &str) -> Result<(Arc<Token>, Uri), Failure> {
        let uri = Uri::parse(text).map_err(token_failure)?;
        let pin = match (&self.password_file, &uri.pin_source) {
            (None, Some(source)) => first_line(source)?,
            _ => self.password(&format!("PIN of {}", uri.describe()))?,
        };
        let token = Token::open(&uri, None, Some(&pin)).map_err(token_failure)?;
        Ok((Arc::new(token), uri))
    }

    fn open_token(&self, text: &str, digest: Option<Digest>, output: Output) -> Result<Found, Failure> {
        let (token, mut uri) = self.token(text)?;
        if let Some(thumbprint) = &self.thumbprint {
            uri.id = Some(token.id_of_thumbprint(thumbprint).map_err(token_failure)?);
            uri.object = None;
        }
        let mut signer = TokenSigner::open(Arc::clone(&token), &uri).map_err(token_failure)?;
        if let Some(algorithm) = rsa_algorithm(signer.algorithm(), digest) {
            signer = signer.under(algorithm).map_err(token_failure)?;
        }
        if !signer.facts().stays() {
            output.remark("remark: the token does not say that this key can never leave it");
        }
        let certificates = token.certificates().map_err(token_failure)?;
        // The key's own first, then whatever else may help to build a path.
        let (own, others): (Vec<_>, Vec<_>) = certificates.into_iter().partition(|(id, _)| id == signer.id());
        let certificates = own.into_iter().chain(others).map(|(_, certificate)| certificate).collect();
        Ok(Found { signer: Box::new(signer), certificates })
    }

    /// Makes a key on the token.
    pub(super) fn generate(&self, kind: keystore::pkcs11::NewKey) -> Result<TokenSigner, Failure> {
        let text = self.pkcs11.as_ref().ok_or_else(|| {
            Failure::input(anyhow::anyhow!("no token was named"))
                .hint("name it and the new key with `--pkcs11 URI`")
        })?;
        let (token, uri) = self.token(text)?;
        TokenSigner::generate(token, &uri, kind).map_err(token_failure)
    }
}

#[cfg(not(feature = "pkcs11"))]
impl KeyArgs {
    fn open_token(&self, _: &str, _: Option<Digest>, _: Output) -> Result<Found, Failure> {
        Err(Failure::environment(anyhow::anyhow!("this build has no PKCS #11"))
            .hint("build it with the feature `pkcs11`"))
    }
}

#[cfg(feature = "pkcs11")]
fn token_failure(error: KeystoreError) -> Failure {
    let hint = error.hint();
    let failure = match &error {
        KeystoreError::Token { .. } => Failure::environment(error),
        KeystoreError::Extractable { .. } => Failure::finding(error),
        _ => Failure::input(error),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn refused(error: KeystoreError, file: &Path) -> Failure {
    let hint = error.hint();
    let failure =
        Failure::input(anyhow::Error::from(error).context(format!("cannot use `{}`", file.display())));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn unreadable(error: signing::SigningError, file: &Path) -> Failure {
    Failure::input(anyhow::Error::from(error).context(format!("cannot use key `{}`", file.display())))
}

/// The algorithm of an RSA key under a digest that is not its usual one.
fn rsa_algorithm(algorithm: Algorithm, digest: Option<Digest>) -> Option<Algorithm> {
    match (algorithm, digest) {
        (Algorithm::RsaSha256, Some(Digest::Sha384)) => Some(Algorithm::RsaSha384),
        (Algorithm::RsaSha256, Some(Digest::Sha512)) => Some(Algorithm::RsaSha512),
        _ => None,
    }
}

fn pem(
    file: &Path,
    digest: Option<Digest>,
    password: impl FnOnce() -> Result<Zeroizing<String>, Failure>,
) -> Result<Box<dyn Signer>, Failure> {
    let bytes = read(file)?;
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        Failure::input(anyhow::Error::from(e).context(format!("`{}` is no PEM", file.display())))
    })?;
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let der = pkix::pem::blocks(&bytes, "ENCRYPTED PRIVATE KEY").map_err(|e| super::unusable(e, file))?;
        let plain = pkcs12::open_encrypted_key(&der[0], &password()?).map_err(|e| refused(e, file))?;
        return from_pkcs8(&plain, digest).map_err(|e| unreadable(e, file));
    }
    let signer = keys::signer_from_pem(text).map_err(|e| unreadable(e, file))?;
    match rsa_algorithm(signer.algorithm(), digest) {
        Some(algorithm) => {
            let rsa = keys::rsa_from_pem(text).and_then(|rsa| rsa.under(algorithm));
            Ok(Box::new(rsa.map_err(|e| unreadable(e, file))?))
        }
        None => Ok(signer),
    }
}

fn from_pkcs8(der: &[u8], digest: Option<Digest>) -> Result<Box<dyn Signer>, signing::SigningError> {
    let signer = keys::signer_from_pkcs8(der)?;
    match rsa_algorithm(signer.algorithm(), digest) {
        Some(algorithm) => Ok(Box::new(RsaSigner::from_pkcs8_der(der)?.under(algorithm)?)),
        None => Ok(signer),
    }
}

/// A password is the first line of its file.
fn first_line(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = read(file)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::input(anyhow::anyhow!("`{}` is not UTF-8", file.display())))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// The certificates of a file.
pub(crate) fn read_certificates(file: &Path) -> Result<Vec<Certificate>, Failure> {
    Certificate::from_pem_or_der(&read(file)?).map_err(|e| super::unusable(e, file))
}

/// A small file that may hold a secret.
pub(in crate::cmd) fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
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
