//! Whose keys sign a seal.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use signing::{Signer, keys};

use super::{Context, keyring};
use crate::cmd::key;
use crate::cmd::pe::credential::KeyArgs;
use crate::config::Config;
use crate::crypto;
use crate::failure::Failure;
use crate::given;

/// Bytes of a key file that are read: far more than a key has.
const MAX_KEY: usize = 64 * 1024;

#[derive(Args)]
pub(in crate::cmd) struct SignerArgs {
    /// Sign with this key of the home, or `sdf:INDEX` of a GM/T 0018 device [default: as custody.toml says, else `default`]; repeatable
    #[arg(long, value_name = "NAME")]
    key: Vec<String>,
    /// Sign with this private key (PKCS #8 PEM: Ed25519, ECDSA or SM2); repeatable
    #[arg(long, value_name = "PEM")]
    key_file: Vec<PathBuf>,
    /// Sign with the key of this PKCS #12 file
    #[arg(long, value_name = "FILE")]
    p12: Option<PathBuf>,
    /// Sign with a key on a token, as pkcs11:token=T;object=K?module-path=/LIB.so (RFC 7512)
    #[arg(long, value_name = "URI", conflicts_with = "p12")]
    pkcs11: Option<String>,
    /// File with the password or PIN, its first line; asked for on a terminal when absent
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl SignerArgs {
    /// Whether a key was named.
    pub(super) fn named(&self) -> bool {
        !self.key.is_empty() || !self.key_file.is_empty() || self.p12.is_some() || self.pkcs11.is_some()
    }

    /// The keys, each once, those of the home first.
    pub(in crate::cmd) fn open(&self, context: &Context) -> Result<Vec<Box<dyn Signer>>, Failure> {
        let mut signers: Vec<Box<dyn Signer>> = Vec::new();
        let default = match self.named() {
            false => Some(Config::of(&context.home)?.seal.key),
            true => None,
        };
        for name in self.key.iter().chain(&default) {
            if let Some(signer) = crypto::sdf_signer(context, name)? {
                signers.push(Box::new(signer));
                continue;
            }
            let ring = keyring(context)
                .ok_or_else(|| Failure::input(anyhow::anyhow!("there is no home with a key `{name}`")))?;
            signers.push(ring.signer(name).map_err(key::failure)?);
        }
        for file in &self.key_file {
            signers.push(read_key(file)?);
        }
        if self.p12.is_some() || self.pkcs11.is_some() {
            let elsewhere = KeyArgs {
                key: None,
                p12: self.p12.clone(),
                pkcs11: self.pkcs11.clone(),
                thumbprint: None,
                password_file: self.password_file.clone(),
            };
            signers.push(elsewhere.open(None, context.output)?.signer);
        }
        for (at, signer) in signers.iter().enumerate() {
            if signers[..at].iter().any(|other| other.key_id() == signer.key_id()) {
                return Err(Failure::input(anyhow::anyhow!("key {} is named twice", signer.key_id())));
            }
        }
        Ok(signers)
    }
}

/// As the signing functions take them.
pub(in crate::cmd) fn all(signers: &[Box<dyn Signer>]) -> Vec<&dyn Signer> {
    signers.iter().map(AsRef::as_ref).collect()
}

fn read_key(file: &Path) -> Result<Box<dyn Signer>, Failure> {
    let context = || format!("cannot use key file `{}`", file.display());
    // The whole room at once: a buffer that grew would leave unwiped copies of a secret behind.
    let mut pem = zeroize::Zeroizing::new(String::with_capacity(MAX_KEY));
    given::open(file)
        .and_then(|opened| opened.take(MAX_KEY as u64).read_to_string(&mut pem))
        .map_err(|e| Failure::input(anyhow::Error::from(e).context(context())))?;
    keys::signer_from_pem(&pem).map_err(|e| Failure::input(anyhow::Error::from(e).context(context())))
}
