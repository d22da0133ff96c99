//! Keys from passwords: that of PKCS #12 (RFC 7292 appendix B.2), PBKDF2 (RFC 8018 §5.2), and the MAC.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, hmac, pbkdf2};
use pkix::Digest;
use zeroize::Zeroizing;

use crate::KeystoreError;

/// Rounds beyond this take longer than anybody who waits for a signature would.
const MAX_ROUNDS: u32 = 2_000_000;

/// What a derived key is for (appendix B.3).
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

fn bad(why: &str) -> KeystoreError {
    KeystoreError::Pkcs12 { why: why.to_owned() }
}

pub(super) fn rounds(count: u32) -> Result<NonZeroU32, KeystoreError> {
    NonZeroU32::new(count)
        .filter(|count| count.get() <= MAX_ROUNDS)
        .ok_or_else(|| bad("its password would be hashed not at all, or more than two million times"))
}

/// Appendix B.2. The password is UTF-16, big-endian, with a zero at its end.
pub(super) fn pkcs12(
    digest: Digest,
    purpose: Purpose,
    password: &str,
    salt: &[u8],
    count: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let count = rounds(count)?.get();
    let block = match digest {
        Digest::Sha384 | Digest::Sha512 => 128,
        _ => 64,
    };
    let unicode: Zeroizing<Vec<u8>> =
        Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect());
    let repeated = |bytes: &[u8]| -> Zeroizing<Vec<u8>> {
        let size = bytes.len().div_ceil(block) * block;
        Zeroizing::new(bytes.iter().copied().cycle().take(size).collect())
    };
    let diversifier = vec![purpose as u8; block];
    let mut input = Zeroizing::new([repeated(salt).as_slice(), repeated(&unicode).as_slice()].concat());
    let mut out = Zeroizing::new(Vec::with_capacity(length + digest.size()));
    while out.len() < length {
        let mut a = Zeroizing::new(digest.of(&[diversifier.as_slice(), &input].concat()));
        for _ in 1..count {
            a = Zeroizing::new(digest.of(&a));
        }
        out.extend_from_slice(&a);
        let b: Vec<u8> = a.iter().copied().cycle().take(block).collect();
        for chunk in input.chunks_mut(block) {
            add_one_more(chunk, &b);
        }
    }
    out.truncate(length);
    Ok(out)
}

/// `I_j = (I_j + B + 1) mod 2^v`.
fn add_one_more(chunk: &mut [u8], b: &[u8]) {
    let mut carry = 1u16;
    for (byte, add) in chunk.iter_mut().zip(b).rev() {
        let sum = u16::from(*byte) + u16::from(*add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

/// PBKDF2 under HMAC of this digest.
pub(super) fn pbkdf2(
    digest: Digest,
    password: &str,
    salt: &[u8],
    count: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let algorithm = match digest {
        Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Digest::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        Digest::Sm3 => return Err(bad("PBKDF2 under SM3 is not supported")),
    };
    let mut out = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(algorithm, rounds(count)?, salt, password.as_bytes(), &mut out);
    Ok(out)
}

/// Whether `expected` is the MAC of `content`, in constant time.
pub(super) fn hmac_is(
    digest: Digest,
    key: &[u8],
    content: &[u8],
    expected: &[u8],
) -> Result<bool, KeystoreError> {
    let algorithm = match digest {
        Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha256 => hmac::HMAC_SHA256,
        Digest::Sha384 => hmac::HMAC_SHA384,
        Digest::Sha512 => hmac::HMAC_SHA512,
        Digest::Sm3 => return Err(bad("a MAC under SM3 is not supported")),
    };
    let mac = hmac::sign(&hmac::Key::new(algorithm, key), content);
    Ok(constant_time::verify_slices_are_equal(mac.as_ref(), expected).is_ok())
}
