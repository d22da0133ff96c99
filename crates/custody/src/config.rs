//! `custody.toml`: what a home's owner may choose. Everything has a default.

use serde::Deserialize;

use crate::failure::Failure;
use crate::home::Home;

/// What `custody init` writes.
pub(crate) const TEMPLATE: &str = "\
# Configuration of this Custody home. Everything has a default; a line that is commented out shows it.

# Version of this file's format.
version = 1

[seal]
# The key that signs seals when `--key` is not given (`custody key list`).
#key = \"default\"

[ledger]
# Trees of this ledger, which it keeps for its life, and SM2 keys (`custody key new NAME --algorithm sm2`) that sign each
# checkpoint beside the log's own Ed25519 key.
#trees = [\"sha256\", \"sm3\"]
#signers = []

[crypto]
# Who computes SM3 of what is sealed and verified: \"cpu\", \"kernel\" (AF_ALG) or \"sdf\" (a GM/T 0018 library).
#seal_sm3 = \"cpu\"
# Whether the processor computes when that cannot be; each time is an event.
#fall_back = true
# The GM/T 0018 library, whose keys sign as `--key sdf:INDEX`, and the file with their password.
#sdf_library = \"/usr/lib/libsdf.so\"
#sdf_password_file = \"/etc/custody/sdf.password\"

[serve]
# The daemon, `custody serve`: where it listens, TLS, and the file of bearer tokens (docs/http.md).
#listen = [\"127.0.0.1:8480\"]
# The `[[anchor]]` of kind antchain, tencent, xuperchain or rest that anchors what comes to /v1/evidence.
#evidence = \"chain\"

[heartbeat]
# Seconds between heartbeats of the daemon, and after how many without an event from outside it records the silence.
#interval = 60
#silence = 3600

[retention]
# Seconds between two passes of the daemon over the table of retention and the erasures that are due; 0 for none.
#every = 3600
# Whether the daemon also removes what may go. Otherwise only `custody audit retention apply` does.
#prune = false

[alerts]
# Rules of alerts (docs/formats/alerts.md).
#file = \"alerts.toml\"

# Who anchors, by name: timestamp authorities, logs, chains (docs/formats/anchor.md).
#[[anchor]]
#name = \"tsa\"
#kind = \"rfc3161\"
#url = \"http://timestamp.example.com/\"
";

/// The version of the format that this program reads.
const VERSION: u32 = 1;

/// The configuration of a home.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    version: u32,
    /// `[seal]`.
    #[serde(default)]
    pub(crate) seal: Seal,
    /// `[ledger]`, which `audit` reads by itself: every process that opens the home must sign alike.
    #[serde(default)]
    ledger: audit::LedgerSettings,
    /// `[crypto]`.
    #[serde(default)]
    pub(crate) crypto: crate::crypto::Crypto,
    /// `[serve]`.
    #[serde(default)]
    pub(crate) serve: crate::daemon::settings::Serve,
    /// `[heartbeat]`.
    #[serde(default)]
    pub(crate) heartbeat: crate::daemon::settings::Heartbeat,
    /// `[retention]`.
    #[serde(default)]
    pub(crate) retention: crate::daemon::settings::Keeping,
    /// `[alerts]`.
    #[serde(default)]
    pub(crate) alerts: crate::daemon::settings::Alerts,
    /// `[[anchor]]`.
    #[serde(default)]
    pub(crate) anchor: Vec<crate::chains::Named>,
}

/// What concerns seals.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Seal {
    /// The key that signs when none is named.
    pub(crate) key: String,
}

impl Default for Seal {
    fn default() -> Self {
        Self { key: keystore::DEFAULT_KEY.to_owned() }
    }
}

impl Config {
    /// Reads the configuration of an existing home.
    pub(crate) fn of(home: &Home) -> Result<Self, Failure> {
        let path = home.existing()?.config_file();
        let bad = |error: anyhow::Error| {
            Failure::input(error.context(format!("cannot use {}", path.display())))
                .hint("mend the file; `custody init` in an empty folder shows what it looks like")
        };
        let text = std::fs::read_to_string(&path).map_err(|e| bad(e.into()))?;
        Self::parse(&text).map_err(bad)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        anyhow::ensure!(config.version == VERSION, "version {} of the format is unknown", config.version);
        config.ledger.check().map_err(anyhow::Error::msg)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_default() {
        assert_eq!(Config::parse(TEMPLATE).unwrap().seal.key, "default");
        let shown = TEMPLATE.replace("#key", "key");
        assert_eq!(Config::parse(&shown).unwrap().seal.key, "default");
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for bad in ["version = 2", "version = 1\n[seal]\nkye = \"x\"", "version = 1\n[other]", "", "version"]
        {
            assert!(Config::parse(bad).is_err(), "{bad}");
        }
    }
}
