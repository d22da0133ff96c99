//! Whose keys sign a seal.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use signing::{Signer, keys};

use super::{Context, keyring};
use crate::cmd::key;
use crate::config::Config;
use crate::crypto;
use crate::failure::Failure;
use crate::given;

/// Bytes of a key file that are read: far more than a key has.
const MAX_KEY: usize = 64 * 1024;

#[derive(Args)]
pub(super) struct SignerArgs {
    /// Sign with this key of the home, or `sdf:INDEX` of a GM/T 0018 device [default: as custody.toml says, else `default`]; repeatable
    #[arg(long, value_name = "NAME")]
    key: Vec<String>,
    /// Sign with this private key (PKCS #8 PEM: Ed25519, ECDSA or SM2); repeatable
    #[arg(long, value_name = "PEM")]
    key_file: Vec<PathBuf>,
}

impl SignerArgs {
    /// The keys, each once, those of the home first.
    pub(super) fn open(&self, context: &Context) -> Result<Vec<Box<dyn Signer>>, Failure> {
        let mut signers: Vec<Box<dyn Signer>> = Vec::new();
        let default = match (self.key.is_empty(), self.key_file.is_empty()) {
            (true, true) => Some(Config::of(&context.home)?.seal.key),
            _ => None,
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
        for (at, signer) in signers.iter().enumerate() {
            if signers[..at].iter().any(|other| other.key_id() == signer.key_id()) {
                return Err(Failure::input(anyhow::anyhow!("key {} is named twice", signer.key_id())));
            }
        }
        Ok(signers)
    }
}

/// As the signing functions take them.
pub(super) fn all(signers: &[Box<dyn Signer>]) -> Vec<&dyn Signer> {
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
