//! Judges a proof file offline: the bytes, the evidence, and the keys and authorities that the reader trusts.

use pkix::tsp::Token;
use pkix::{Certificate, Digest};
use serde::Serialize;

use crate::base64_text;
use crate::receipt::{Anchor, Anchored, Evidence, Status};
use crate::sigstore::TrustedRoot;
use crate::subject::Subject;

/// Whom the reader trusts.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Timestamp authorities: roots.
    pub authorities: Vec<Certificate>,
    /// Certificates that may stand between.
    pub intermediates: Vec<Certificate>,
    /// Rekor logs, Fulcio and the timestamp authorities beside them.
    pub sigstore: TrustedRoot,
    /// Public keys of Custody ledgers (verifier keys of c2sp.org/signed-note).
    pub ledgers: Vec<signing::note::NoteVerifier>,
    /// Public keys of witnesses.
    pub witnesses: Vec<crate::witness::WitnessKey>,
}

/// What became of one anchor. The names are part of the interface.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// `rfc3161`, `rekor`, `witness`, or a chain's platform.
    pub kind: String,
    /// Who anchored.
    pub authority: String,
    /// The judgement.
    pub verdict: Verdict,
    /// The moment that is proved: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whose word it is, or why it does not hold.
    pub detail: String,
}

/// A judgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The evidence holds, by an authority that the reader trusts.
    Holds,
    /// It holds as far as it can be seen, and nobody said whom to trust for it.
    Untrusted,
    /// A platform's word: nothing in the file proves it without asking the platform.
    Claimed,
    /// There is no evidence yet.
    Pending,
    /// The authority refused the request.
    Failed,
    /// It does not hold.
    Broken,
}

impl Verdict {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Untrusted => "untrusted",
            Self::Claimed => "claimed",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Broken => "broken",
        }
    }
}

/// Whether these findings together prove the subject: one holds, and none is broken.
#[must_use]
pub fn proves(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.verdict == Verdict::Holds)
        && findings.iter().all(|f| f.verdict != Verdict::Broken)
}

/// Judges every anchor of a file about the subject whose digests were computed here.
#[must_use]
pub fn verify(file: &Anchored, found: &Subject, trust: &Trust) -> Vec<Finding> {
    file.anchors.iter().map(|anchor| finding(anchor, file, found, trust)).collect()
}

/// A judgement with its reason and the time that it proves.
pub(crate) type Judged = (Verdict, Option<String>, String);

fn finding(anchor: &Anchor, file: &Anchored, found: &Subject, trust: &Trust) -> Finding {
    let (verdict, time, detail) = match anchor.status {
        _ if !file.subject.is(found) => {
            (Verdict::Broken, None, "the proof is about other bytes than these".to_owned())
        }
        Status::Pending => (Verdict::Pending, None, "ask again with `custody anchor status`".to_owned()),
        Status::Failed => (Verdict::Failed, None, anchor.reason.clone().unwrap_or_default()),
        Status::Success => judge(anchor, found, trust),
    };
    let kind = anchor.evidence.kind().to_owned();
    Finding { kind, authority: anchor.authority.clone(), verdict, time, detail }
}

fn judge(anchor: &Anchor, found: &Subject, trust: &Trust) -> Judged {
    match &anchor.evidence {
        Evidence::Rfc3161 { token: Some(token) } => timestamp(token, found, trust),
        Evidence::Rekor { bundle: Some(bundle), .. } => crate::rekor::judge(bundle, found, &trust.sigstore),
        Evidence::Witness { event: Some(event), proof: Some(proof) } => {
            crate::witness::judge(event, proof, found, &trust.ledgers, &trust.witnesses)
        }
        Evidence::Chain { tx_id, block_height, .. } => {
            let of = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
            let (tx, height) = (of(tx_id.clone()), of(block_height.map(|h| h.to_string())));
            (Verdict::Claimed, None, format!("transaction {tx} in block {height}, as the platform says"))
        }
        _ => broken("it claims success and holds no evidence"),
    }
}

pub(crate) fn broken(why: impl std::fmt::Display) -> Judged {
    (Verdict::Broken, None, why.to_string())
}

fn timestamp(token: &str, found: &Subject, trust: &Trust) -> Judged {
    let der = match base64_text::decode(token) {
        Ok(der) => der,
        Err(error) => return broken(format_args!("the token is not base64: {error}")),
    };
    let token = match Token::read(&der) {
        Ok(token) => token,
        Err(error) => return broken(error),
    };
    let imprint = |digest| match digest {
        Digest::Sha256 => Some(found.digest.sha256.to_vec()),
        Digest::Sm3 => found.digest.sm3.map(|sm3| sm3.to_vec()),
        _ => None,
    };
    let time = |time: pkix::Time| Some(crate::time::text(time.0));
    match token.verify_imprint(imprint, &trust.authorities, &trust.intermediates) {
        Ok(dated) => {
            let by = dated.chain.certificates.first().map(|c| c.subject.to_string()).unwrap_or_default();
            (Verdict::Holds, time(dated.time), format!("dated by {by}"))
        }
        // The token's own signature was found good before its chain was looked at.
        Err(pkix::tsp::TokenFault::Chain(fault)) => {
            let stated = token.info().ok().and_then(|info| time(info.time));
            (Verdict::Untrusted, stated, format!("the authority is not trusted here: {fault}"))
        }
        Err(fault) => broken(fault),
    }
}
