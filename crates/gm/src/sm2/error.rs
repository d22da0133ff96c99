//! What can go wrong with a key, a signature or a ciphertext.

/// Why nothing was signed, verified, encrypted, decrypted or agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Sm2Error {
    /// The bytes are not what they were taken for.
    Malformed {
        /// What they were taken for.
        what: &'static str,
        /// The rule that they break.
        why: &'static str,
    },
    /// A private key is outside 1 to n - 2 (GB/T 32918.1 §A.3).
    PrivateKeyRange,
    /// The coordinates are not those of a point of the curve.
    NotOnCurve,
    /// The public half that came with a private key is another key's.
    KeyMismatch,
    /// The user id is longer than 8191 bytes: its length in bits stands in 16 bits (GB/T 32918.2 §5.5).
    IdTooLong,
    /// The message is empty, or longer than the key derivation can cover (GB/T 32918.4 §5.4.3).
    Length,
    /// The signature is not one of this message by this key.
    BadSignature,
    /// The ciphertext is not one under this key, or was changed.
    BadCiphertext,
    /// The key exchange came to the point at infinity (GB/T 32918.3 §6.1, steps A7 and B6).
    NoAgreement,
}

impl Sm2Error {
    pub(super) const fn malformed(what: &'static str, why: &'static str) -> Self {
        Self::Malformed { what, why }
    }
}

impl core::fmt::Display for Sm2Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed { what, why } => write!(f, "malformed {what}: {why}"),
            Self::PrivateKeyRange => f.write_str("the private key is not between 1 and n - 2"),
            Self::NotOnCurve => f.write_str("the point is not on the curve of SM2"),
            Self::KeyMismatch => f.write_str("the public key beside the private key is another key's"),
            Self::IdTooLong => f.write_str("the user id is longer than 8191 bytes"),
            Self::Length => f.write_str("the message is empty or too long"),
            Self::BadSignature => f.write_str("the signature is not by this key over this message"),
            Self::BadCiphertext => f.write_str("the ciphertext is not under this key, or was changed"),
            Self::NoAgreement => f.write_str("the key exchange has no result with these keys"),
        }
    }
}

impl core::error::Error for Sm2Error {}
