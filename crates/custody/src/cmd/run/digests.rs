//! What a program must be, when its digests are given on the command line.

use gm::DualDigest;
use supervise::Verdict;

use super::wanted::short;

/// Digests that the program must have; at least one.
pub(super) struct Digests {
    sha256: Option<[u8; 32]>,
    sm3: Option<[u8; 32]>,
}

impl Digests {
    pub(super) fn of(sha256: Option<[u8; 32]>, sm3: Option<[u8; 32]>) -> Option<Self> {
        (sha256.is_some() || sm3.is_some()).then_some(Self { sha256, sm3 })
    }

    pub(super) fn verdict(&self, found: &DualDigest) -> Verdict {
        let sha256 = self.sha256.is_none_or(|wanted| wanted == found.sha256);
        let sm3 = self.sm3.is_none_or(|wanted| wanted == found.sm3);
        if sha256 && sm3 {
            Verdict::Accepted { grounds: "the digests given on the command line".to_owned() }
        } else {
            Verdict::Refused { reason: "its digests are not those given on the command line".to_owned() }
        }
    }

    /// What was wanted and what was found, under the first algorithm that differs.
    pub(super) fn lines(&self, found: &DualDigest) -> (String, String) {
        match (self.sha256, self.sm3) {
            (Some(wanted), _) if wanted != found.sha256 => {
                (short("sha256", &wanted), short("sha256", &found.sha256))
            }
            (_, Some(wanted)) => (short("sm3", &wanted), short("sm3", &found.sm3)),
            (wanted, None) => {
                (wanted.map(|d| short("sha256", &d)).unwrap_or_default(), short("sha256", &found.sha256))
            }
        }
    }
}

/// Reads a digest of 32 bytes, with or without the name of its algorithm in front.
pub(super) fn parse(given: &str) -> Result<[u8; 32], String> {
    let digits = given.rsplit_once(':').map_or(given, |(_, digits)| digits);
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|e| format!("not 64 hexadecimal digits: {e}"))?;
    Ok(bytes)
}
