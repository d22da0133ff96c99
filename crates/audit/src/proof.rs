//! What the ledger proves, and how it stands.

use serde::{Deserialize, Serialize};

/// Which event is to be proved.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// By its index.
    Index(u64),
    /// By its id.
    Id(String),
}

/// An event with its proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Index in the ledger.
    pub index: u64,
    /// The stored form: the leaf that the proof is about.
    pub event: String,
    /// A `.tlog-proof` (c2sp.org/tlog-proof).
    pub proof: String,
}

/// How the ledger stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The log's identity.
    pub origin: String,
    /// Durable events.
    pub durable: u64,
    /// Events under the newest checkpoint.
    pub published: u64,
}
