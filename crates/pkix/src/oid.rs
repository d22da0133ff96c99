//! Object identifiers (X.660), and those that this crate knows by name.

use std::fmt;

use crate::error::PkixError;

/// Longest identifier that is read, in content octets: a UUID under 2.25 takes 20.
const MAX: usize = 40;

/// An object identifier. Arcs may have 128 bits, so that UUID-based ones (ITU-T X.667) fit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid {
    bytes: [u8; MAX],
    len: usize,
}

impl Oid {
    /// The identifier of these arcs. For constants: fails to compile when they are too many.
    #[must_use]
    pub const fn new(arcs: &[u128]) -> Self {
        let mut oid = Self { bytes: [0; MAX], len: 0 };
        oid.push(arcs[0] * 40 + arcs[1]);
        let mut at = 2;
        while at < arcs.len() {
            oid.push(arcs[at]);
            at += 1;
        }
        oid
    }

    /// Base 128, most significant first, all but the last with the high bit (X.690 §8.19.2).
    #[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
    const fn push(&mut self, arc: u128) {
        let mut groups = 1;
        while groups < 19 && arc >> (7 * groups) != 0 {
            groups += 1;
        }
        while groups > 0 {
            groups -= 1;
            let more = if groups > 0 { 0x80 } else { 0 };
            self.bytes[self.len] = (arc >> (7 * groups)) as u8 & 0x7f | more;
            self.len += 1;
        }
    }

    /// Reads content octets.
    ///
    /// # Errors
    /// When they are too many, or break X.690 §8.19.
    pub fn from_body(body: &[u8]) -> Result<Self, PkixError> {
        let bad = |why| Err(PkixError::malformed("object identifier", why));
        let Some(last) = body.last() else { return bad("it is empty") };
        if body.len() > MAX {
            return bad("it is longer than 40 octets");
        }
        if last & 0x80 != 0 {
            return bad("its last arc is cut off");
        }
        let starts = std::iter::once(0).chain((1..body.len()).filter(|at| body[at - 1] & 0x80 == 0));
        if starts.into_iter().any(|at| body[at] == 0x80) {
            return bad("an arc is not in its shortest form");
        }
        let mut oid = Self { bytes: [0; MAX], len: body.len() };
        oid.bytes[..body.len()].copy_from_slice(body);
        Ok(oid)
    }

    /// The content octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arc: u128 = 0;
        let mut wide = false;
        let mut first = true;
        for byte in self.as_bytes() {
            wide |= arc >> 121 != 0;
            arc = arc << 7 | u128::from(byte & 0x7f);
            if byte & 0x80 != 0 {
                continue;
            }
            match (first, wide) {
                (_, true) => write!(f, "{}?", if first { "" } else { "." })?,
                (true, _) => write!(f, "{}.{}", (arc / 40).min(2), arc - (arc / 40).min(2) * 40)?,
                (false, _) => write!(f, ".{arc}")?,
            }
            (arc, wide, first) = (0, false, false);
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

macro_rules! oids {
    ($($(#[$doc:meta])* $name:ident = [$($arc:literal),+];)+) => {
        $($(#[$doc])* pub const $name: Oid = Oid::new(&[$($arc),+]);)+
    };
}

oids! {
    /// RFC 8017 §A.1.
    RSA_ENCRYPTION = [1, 2, 840, 113549, 1, 1, 1];
    /// RFC 8017 §C; refused for being broken, known so that the refusal can say its name.
    MD5_WITH_RSA = [1, 2, 840, 113549, 1, 1, 4];
    /// RFC 8017 §C.
    SHA1_WITH_RSA = [1, 2, 840, 113549, 1, 1, 5];
    /// RFC 8017 §A.2.3.
    RSA_PSS = [1, 2, 840, 113549, 1, 1, 10];
    /// RFC 8017 §A.2.4.
    SHA256_WITH_RSA = [1, 2, 840, 113549, 1, 1, 11];
    /// RFC 8017 §A.2.4.
    SHA384_WITH_RSA = [1, 2, 840, 113549, 1, 1, 12];
    /// RFC 8017 §A.2.4.
    SHA512_WITH_RSA = [1, 2, 840, 113549, 1, 1, 13];
    /// RFC 5480 §2.1.1.
    EC_PUBLIC_KEY = [1, 2, 840, 10045, 2, 1];
    /// RFC 5480 §2.1.1.1.
    P256 = [1, 2, 840, 10045, 3, 1, 7];
    /// RFC 5480 §2.1.1.1.
    P384 = [1, 3, 132, 0, 34];
    /// RFC 5480 §2.1.1.1.
    P521 = [1, 3, 132, 0, 35];
    /// RFC 5758 §3.2.
    ECDSA_WITH_SHA256 = [1, 2, 840, 10045, 4, 3, 2];
    /// RFC 5758 §3.2.
    ECDSA_WITH_SHA384 = [1, 2, 840, 10045, 4, 3, 3];
    /// RFC 5758 §3.2.
    ECDSA_WITH_SHA512 = [1, 2, 840, 10045, 4, 3, 4];
    /// RFC 8410 §3.
    ED25519 = [1, 3, 101, 112];
    /// GB/T 33560, the curve of SM2.
    SM2 = [1, 2, 156, 10197, 1, 301];
    /// GB/T 33560, SM2 with SM3.
    SM2_WITH_SM3 = [1, 2, 156, 10197, 1, 501];
    /// GB/T 33560.
    SM3 = [1, 2, 156, 10197, 1, 401];
    /// RFC 8017 §A.1.
    MD5 = [1, 2, 840, 113549, 2, 5];
    /// RFC 3279 §2.1.
    SHA1 = [1, 3, 14, 3, 2, 26];
    /// RFC 5754 §2.2.
    SHA256 = [2, 16, 840, 1, 101, 3, 4, 2, 1];
    /// RFC 5754 §2.3.
    SHA384 = [2, 16, 840, 1, 101, 3, 4, 2, 2];
    /// RFC 5754 §2.4.
    SHA512 = [2, 16, 840, 1, 101, 3, 4, 2, 3];
    /// RFC 8017 §A.2.1.
    MGF1 = [1, 2, 840, 113549, 1, 1, 8];

    /// RFC 5652 §4.
    DATA = [1, 2, 840, 113549, 1, 7, 1];
    /// RFC 5652 §5.1.
    SIGNED_DATA = [1, 2, 840, 113549, 1, 7, 2];
    /// RFC 5652 §8.
    ENCRYPTED_DATA = [1, 2, 840, 113549, 1, 7, 6];
    /// RFC 5652 §11.1.
    CONTENT_TYPE = [1, 2, 840, 113549, 1, 9, 3];
    /// RFC 5652 §11.2.
    MESSAGE_DIGEST = [1, 2, 840, 113549, 1, 9, 4];
    /// RFC 5652 §11.3.
    SIGNING_TIME = [1, 2, 840, 113549, 1, 9, 5];
    /// RFC 5652 §11.4.
    COUNTERSIGNATURE = [1, 2, 840, 113549, 1, 9, 6];
    /// RFC 5035 §5.4.
    SIGNING_CERTIFICATE = [1, 2, 840, 113549, 1, 9, 16, 2, 12];
    /// RFC 5035 §3.
    SIGNING_CERTIFICATE_V2 = [1, 2, 840, 113549, 1, 9, 16, 2, 47];
    /// RFC 3161 §2.4.2.
    TST_INFO = [1, 2, 840, 113549, 1, 9, 16, 1, 4];
    /// RFC 3161 appendix A: a token beside the signature that it dates.
    TIMESTAMP_TOKEN = [1, 2, 840, 113549, 1, 9, 16, 2, 14];

    /// RFC 5280 §4.2.1.2.
    SUBJECT_KEY_IDENTIFIER = [2, 5, 29, 14];
    /// RFC 5280 §4.2.1.3.
    KEY_USAGE = [2, 5, 29, 15];
    /// RFC 5280 §4.2.1.6.
    SUBJECT_ALT_NAME = [2, 5, 29, 17];
    /// RFC 5280 §4.2.1.9.
    BASIC_CONSTRAINTS = [2, 5, 29, 19];
    /// RFC 5280 §5.2.3.
    CRL_NUMBER = [2, 5, 29, 20];
    /// RFC 5280 §5.3.1.
    CRL_REASON = [2, 5, 29, 21];
    /// RFC 5280 §5.3.2.
    INVALIDITY_DATE = [2, 5, 29, 24];
    /// RFC 5280 §5.2.5.
    ISSUING_DISTRIBUTION_POINT = [2, 5, 29, 28];
    /// RFC 5280 §4.2.1.4.
    CERTIFICATE_POLICIES = [2, 5, 29, 32];
    /// RFC 5280 §4.2.1.1.
    AUTHORITY_KEY_IDENTIFIER = [2, 5, 29, 35];
    /// RFC 5280 §4.2.1.12.
    EXTENDED_KEY_USAGE = [2, 5, 29, 37];
    /// RFC 5280 §4.2.1.12.
    ANY_EXTENDED_KEY_USAGE = [2, 5, 29, 37, 0];
    /// RFC 5280 §4.2.1.12.
    KP_CODE_SIGNING = [1, 3, 6, 1, 5, 5, 7, 3, 3];
    /// RFC 5280 §4.2.1.12.
    KP_TIME_STAMPING = [1, 3, 6, 1, 5, 5, 7, 3, 8];
    /// RFC 5280 §4.2.1.12.
    KP_OCSP_SIGNING = [1, 3, 6, 1, 5, 5, 7, 3, 9];
    /// RFC 6960 §4.2.1.
    OCSP_BASIC = [1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
    /// RFC 6960 §4.4.1.
    OCSP_NONCE = [1, 3, 6, 1, 5, 5, 7, 48, 1, 2];
    /// RFC 2986 §4, `extensionRequest` of RFC 2985 §5.4.2.
    EXTENSION_REQUEST = [1, 2, 840, 113549, 1, 9, 14];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arcs_are_written_as_they_are_read() {
        assert_eq!(SHA256.to_string(), "2.16.840.1.101.3.4.2.1");
        assert_eq!(SHA256.as_bytes(), [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]);
        assert_eq!(Oid::new(&[1, 2, 840, 113549]).as_bytes(), [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]);
        // ITU-T X.667 §6.3: the UUID f81d4fae-7dec-11d0-a765-00a0c91e6bf6 as an arc.
        let uuid = Oid::new(&[2, 25, 329800735698586629295641978511506172918]);
        assert_eq!(uuid.to_string(), "2.25.329800735698586629295641978511506172918");
        assert_eq!(Oid::from_body(uuid.as_bytes()), Ok(uuid));
    }

    #[test]
    fn other_spellings_are_refused() {
        for wrong in [&[][..], &[0x2a, 0x80, 0x01], &[0x2a, 0x86], &[0x80, 0x01], &[1; 41]] {
            assert!(Oid::from_body(wrong).is_err(), "{wrong:02x?}");
        }
    }
}
