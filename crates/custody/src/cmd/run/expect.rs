//! What a program must be, when its digests are given on the command line.

use supervise::{Image, Verdict, Verify};

/// Digests that the program must have; at least one.
pub(super) struct Expectation {
    sha256: Option<[u8; 32]>,
    sm3: Option<[u8; 32]>,
}

impl Expectation {
    pub(super) fn of(sha256: Option<[u8; 32]>, sm3: Option<[u8; 32]>) -> Option<Self> {
        (sha256.is_some() || sm3.is_some()).then_some(Self { sha256, sm3 })
    }

    /// One line for people.
    pub(super) fn describe(&self) -> String {
        self.sha256
            .map_or_else(|| self.sm3.map(|d| short("sm3", &d)), |d| Some(short("sha256", &d)))
            .unwrap_or_default()
    }
}

impl Verify for Expectation {
    fn verdict(&self, image: &Image) -> Verdict {
        let found = &image.executable.digest;
        let sha256 = self.sha256.is_none_or(|expected| expected == found.sha256);
        let sm3 = self.sm3.is_none_or(|expected| expected == found.sm3);
        if sha256 && sm3 {
            Verdict::Accepted { grounds: "the digests given on the command line".to_owned() }
        } else {
            Verdict::Refused { reason: "its digests are not those given on the command line".to_owned() }
        }
    }
}

/// The found digest, under the algorithm that the expectation shows.
pub(super) fn shown(found: &gm::DualDigest, expectation: Option<&Expectation>) -> String {
    match expectation {
        Some(Expectation { sha256: None, .. }) => short("sm3", &found.sm3),
        _ => short("sha256", &found.sha256),
    }
}

fn short(algorithm: &str, digest: &[u8; 32]) -> String {
    format!("{algorithm}:{}…", hex::encode(&digest[..8]))
}

/// Reads a digest of 32 bytes, with or without the name of its algorithm in front.
pub(super) fn digest(given: &str) -> Result<[u8; 32], String> {
    let digits = given.rsplit_once(':').map_or(given, |(_, digits)| digits);
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|e| format!("not 64 hexadecimal digits: {e}"))?;
    Ok(bytes)
}
