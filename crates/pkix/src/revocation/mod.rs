//! Revocation, from lists (RFC 5280 §5) and OCSP responses (RFC 6960) that the caller has at hand.
//!
//! A signature that was dated before its certificate was revoked still counts (so does every Windows): what decides is
//! whether the revocation's date lies after the moment at which the path was judged. What is stale still proves that a
//! certificate was revoked; it never proves that it was not.

mod crl;
mod ocsp;

use crate::certificate::Certificate;
use crate::chain::Chain;
use crate::error::PkixError;
use crate::time::Time;

pub use crl::{Crl, MAX_CRL};
pub use ocsp::{MAX_OCSP, OcspResponse};

/// What is at hand.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Lists.
    pub crls: Vec<Crl>,
    /// Responses.
    pub ocsp: Vec<OcspResponse>,
}

/// What a list or a response says about a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not revoked, said at this time.
    Good(Time),
    /// Revoked.
    Revoked {
        /// When.
        at: Time,
        /// `CRLReason` (RFC 5280 §5.3.1); 0 where none is given.
        reason: u8,
    },
}

/// A verdict, or why a list or response that should have one has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// About whom.
    pub certificate: Certificate,
    /// The verdict.
    pub verdict: Result<Verdict, PkixError>,
}

impl Statement {
    /// Whether it takes the certificate away at the moment `judged`.
    #[must_use]
    pub fn revokes(&self, judged: Time) -> bool {
        matches!(self.verdict, Ok(Verdict::Revoked { at, .. }) if at <= judged)
    }

    /// The verdict in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.verdict {
            Ok(Verdict::Good(at)) => format!("not revoked at {at}"),
            Ok(Verdict::Revoked { at, reason }) => format!("revoked at {at}: {}", reason_text(*reason)),
            Err(error) => error.to_string(),
        }
    }
}

impl Evidence {
    /// Everything that is said about the certificates of a path, its anchor excepted: nobody revokes an anchor but
    /// whoever trusts it. `others` may hold the responder's certificate.
    #[must_use]
    pub fn statements(&self, chain: &Chain, others: &[Certificate], now: Time) -> Vec<Statement> {
        let mut out = Vec::new();
        for pair in chain.certificates.windows(2) {
            let [certificate, issuer] = pair else { continue };
            let mut push = |verdict| out.push(Statement { certificate: certificate.clone(), verdict });
            for crl in self.crls.iter().filter(|crl| crl.is_by(&issuer.subject)) {
                push(crl.verdict(certificate, issuer, now));
            }
            for response in &self.ocsp {
                if let Some(verdict) = response.verdict(certificate, issuer, others, now).transpose() {
                    push(verdict);
                }
            }
        }
        out
    }
}

fn reason_text(reason: u8) -> &'static str {
    match reason {
        1 => "its key was compromised",
        2 => "the authority's key was compromised",
        3 => "its holder's affiliation changed",
        4 => "it was superseded",
        5 => "its holder ceased operation",
        6 => "it is on hold",
        9 => "its privilege was withdrawn",
        10 => "the attribute authority was compromised",
        _ => "no reason was given",
    }
}

fn stale(what: &'static str, since: Time) -> PkixError {
    PkixError::Mismatch { what, why: format!("it should have been replaced at {since}") }
}

/// A statement that is made from a later day than now, or was to be replaced before now, proves no innocence.
fn fresh(what: &'static str, this: Time, next: Option<Time>, now: Time) -> Result<(), PkixError> {
    match next {
        _ if this > now => {
            Err(PkixError::Mismatch { what, why: format!("it is of {this}, which has not come yet") })
        }
        Some(next) if next < now => Err(stale(what, next)),
        _ => Ok(()),
    }
}
