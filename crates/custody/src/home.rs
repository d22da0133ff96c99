//! Where a home is, and what stands in it.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The folder that holds everything Custody keeps on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// `--home`, else `CUSTODY_HOME` (clap reads it), else `$XDG_DATA_HOME/custody`, else
    /// `~/.local/share/custody`.
    pub(crate) fn locate(given: Option<PathBuf>) -> Result<Self, Failure> {
        let non_empty = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = given
            .or_else(|| non_empty("XDG_DATA_HOME").map(|base| base.join("custody")))
            .or_else(|| non_empty("HOME").map(|base| base.join(".local/share/custody")));
        root.map(|root| Self { root }).ok_or_else(|| {
            Failure::input(anyhow::anyhow!("no home: neither --home, CUSTODY_HOME nor HOME is set"))
                .hint("name one with `--home DIR`")
        })
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// `custody.toml`; its presence is what makes a folder a home.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.root.join("custody.toml")
    }

    /// Signing keys, owner-only.
    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Trusted and revoked public keys.
    pub(crate) fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// The home, if it was initialised.
    pub(crate) fn existing(&self) -> Result<&Self, Failure> {
        if self.config_file().is_file() {
            return Ok(self);
        }
        Err(Failure::input(anyhow::anyhow!("no Custody home at {}", self.root.display()))
            .hint("make one with `custody init`, or name another with `--home DIR`"))
    }
}
