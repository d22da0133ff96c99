//! `trusted_root.json` (protobuf-specs `sigstore_trustroot.proto`): whom a reader of bundles trusts, and from when to when.

use pkix::{Certificate, Time};
use serde::Deserialize;
use signing::PublicKey;

use super::bundle::{CertificateChain, LogId};
use crate::base64_text;
use crate::error::AnchorError;

/// A larger file is not read.
pub const MAX_ROOT: usize = 4 << 20;

/// Whom to trust.
#[derive(Clone, Debug, Default)]
pub struct TrustedRoot {
    /// Transparency logs.
    pub logs: Vec<Log>,
    /// Logs of certificates.
    pub certificate_logs: Vec<Log>,
    /// Issuers of signing certificates.
    pub issuers: Vec<Chain>,
    /// Timestamp authorities.
    pub timestampers: Vec<Chain>,
}

/// A log's key.
#[derive(Clone, Debug)]
pub struct Log {
    /// The name in the log's checkpoints, where it is known; Rekor v1 puts a tree's number behind it.
    pub origin: Option<String>,
    /// As entries name it.
    pub id: Vec<u8>,
    /// Its key.
    pub key: PublicKey,
    /// When it counts.
    pub valid: Range,
}

/// Certificates of an authority, those between first, the root last.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The certificates.
    pub certificates: Vec<Certificate>,
    /// When it counts.
    pub valid: Range,
}

/// A time range, both ends within it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// From.
    pub start: Time,
    /// To.
    pub end: Time,
}

impl Range {
    /// Every time.
    pub const ALWAYS: Self = Self { start: Time(i64::MIN), end: Time(i64::MAX) };

    /// Whether it holds this moment.
    #[must_use]
    pub fn has(self, at: Time) -> bool {
        self.start <= at && at <= self.end
    }
}

impl Log {
    /// A log whose key the reader names.
    #[must_use]
    pub fn of_key(key: PublicKey) -> Self {
        use sha2::Digest as _;
        let id = sha2::Sha256::digest(key.to_spki_der()).to_vec();
        Self { origin: None, id, key, valid: Range::ALWAYS }
    }
}

impl TrustedRoot {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is none, or names a certificate or key that cannot be read. Keys of algorithms that are not known here
    /// are passed over: old logs of the public instance have such.
    pub fn parse(json: &[u8]) -> Result<Self, AnchorError> {
        if json.len() > MAX_ROOT {
            return Err(bad("it is larger than 4 MiB"));
        }
        let wire: Wire = serde_json::from_slice(json).map_err(bad)?;
        if !wire.media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
            return Err(bad("its media type is not that of a trusted root"));
        }
        Ok(Self {
            logs: logs(wire.tlogs)?,
            certificate_logs: logs(wire.ctlogs)?,
            issuers: chains(wire.certificate_authorities)?,
            timestampers: chains(wire.timestamp_authorities)?,
        })
    }
}

fn logs(wire: Vec<WireLog>) -> Result<Vec<Log>, AnchorError> {
    let mut out = Vec::new();
    for log in wire {
        let Ok(key) = PublicKey::from_spki_der(&log.public_key.raw_bytes) else { continue };
        // A key without a beginning was never valid ("valid_for", required).
        let Some(valid) = log.public_key.valid_for else { continue };
        let Some(valid) = valid.range(true)? else { continue };
        let host = log.base_url.split("://").last().unwrap_or_default();
        let origin = host.split('/').next().filter(|host| !host.is_empty()).map(str::to_owned);
        out.push(Log { origin, id: log.log_id.key_id, key, valid });
    }
    Ok(out)
}

fn chains(wire: Vec<WireAuthority>) -> Result<Vec<Chain>, AnchorError> {
    let mut out = Vec::new();
    for authority in wire {
        let read = |raw: &super::bundle::RawBytes| Certificate::from_der(&raw.raw_bytes).map_err(bad);
        let certificates =
            authority.cert_chain.certificates.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let valid = authority.valid_for.map(|v| v.range(false)).transpose()?.flatten();
        out.push(Chain { certificates, valid: valid.unwrap_or(Range::ALWAYS) });
    }
    Ok(out)
}

fn bad(why: impl std::fmt::Display) -> AnchorError {
    AnchorError::malformed("trusted root", why)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<WireLog>,
    #[serde(default)]
    ctlogs: Vec<WireLog>,
    #[serde(default)]
    certificate_authorities: Vec<WireAuthority>,
    #[serde(default)]
    timestamp_authorities: Vec<WireAuthority>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLog {
    #[serde(default)]
    base_url: String,
    public_key: WireKey,
    log_id: LogId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireKey {
    #[serde(with = "base64_text")]
    raw_bytes: Vec<u8>,
    valid_for: Option<WireRange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAuthority {
    cert_chain: CertificateChain,
    valid_for: Option<WireRange>,
}

#[derive(Deserialize)]
struct WireRange {
    start: Option<String>,
    end: Option<String>,
}

impl WireRange {
    /// The range; none when it must have a start and has not.
    fn range(&self, start: bool) -> Result<Option<Range>, AnchorError> {
        let time = |text: &String| -> Result<Time, AnchorError> {
            text.parse::<jiff::Timestamp>().map(|t| Time(t.as_second())).map_err(bad)
        };
        if start && self.start.is_none() {
            return Ok(None);
        }
        let from = self.start.as_ref().map(time).transpose()?.unwrap_or(Range::ALWAYS.start);
        let to = self.end.as_ref().map(time).transpose()?.unwrap_or(Range::ALWAYS.end);
        Ok(Some(Range { start: from, end: to }))
    }
}
