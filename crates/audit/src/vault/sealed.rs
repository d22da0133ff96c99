//! The text that stands in a leaf in place of a personal value.
//!
//! ```text
//! sealed:1:<base64url of the blob>[:<token>]        token:1:<22 characters of base64url>
//! blob  cipher 1 | key id 16 | key version 2 | nonce 12 (GCM) or first counter 16 (CTR) | commitment 32 | ciphertext
//! ```
//!
//! The ciphertext is of `salt (16) ‖ value`, followed by GCM's tag. The commitment is
//! SHA-256("custody-field-v1" ‖ salt ‖ event id ‖ path length u8 ‖ path ‖ value): one field can be opened to an auditor
//! without any key, and when the key is gone the salt is gone, so that nobody can guess a telephone number by trying all.
//! It also authenticates what counter mode does not. A token is HMAC-SM3 under the subject's token key, cut to 16 bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gm::{Sm4, Sm4Gcm};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::record::{Cipher, Id};
use gm::HmacSm3;

/// What a sealed value begins with.
pub const SEALED: &str = "sealed:1:";
/// What a token begins with.
pub const TOKEN: &str = "token:1:";
/// Characters of a token's code.
const TOKEN_CODE: usize = 22;
const TOKEN_BYTES: usize = 16;
const SALT: usize = 16;
const COMMITMENT: usize = 32;
const TAG: usize = 16;

/// Where a value stands: bound into its commitment and its tag, so that it cannot be moved to another place.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The event's id.
    pub(crate) event: &'a [u8; 16],
    /// The field as the caller named it, `ctx.phone`.
    pub(crate) path: &'a str,
}

/// A sealed value, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedField {
    /// The mode.
    pub cipher: Cipher,
    /// The key.
    pub key_id: [u8; 16],
    /// The key's version among those of its subject, month and mode.
    pub key_version: u16,
    /// Twelve bytes of nonce, or sixteen of first counter.
    pub nonce: Vec<u8>,
    /// Binds the value without showing it.
    pub commitment: [u8; 32],
    /// Salt and value, encrypted; with GCM, the tag.
    pub ciphertext: Vec<u8>,
    /// The token beside it, if the policy asks for one.
    pub token: Option<String>,
}

/// The opening of a commitment: the salt, and the value.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) salt: [u8; SALT],
    pub(crate) value: Zeroizing<String>,
}

/// A data key made ready.
pub(crate) enum Ready {
    Gcm(Box<Sm4Gcm>),
    Ctr(Box<Sm4>),
}

impl Ready {
    pub(crate) fn new(cipher: Cipher, secret: &[u8; 16]) -> Self {
        match cipher {
            Cipher::Sm4Gcm => Self::Gcm(Box::new(Sm4Gcm::new(secret))),
            Cipher::Sm4Ctr => Self::Ctr(Box::new(Sm4::new(secret))),
        }
    }
}

/// Randomness for one sealing.
pub(crate) struct Fresh {
    pub(crate) nonce: [u8; 12],
    pub(crate) salt: [u8; SALT],
}

/// Length of a path that is bound; names in events are shorter.
const MAX_PATH: usize = 255;

/// The commitment to a value at a place.
pub(crate) fn commitment(salt: &[u8], at: Place<'_>, value: &str) -> [u8; COMMITMENT] {
    let path = &at.path.as_bytes()[..at.path.len().min(MAX_PATH)];
    let mut hash = Sha256::new();
    hash.update(b"custody-field-v1");
    hash.update(salt);
    hash.update(at.event);
    hash.update([u8::try_from(path.len()).unwrap_or(u8::MAX)]);
    hash.update(path);
    hash.update(value.as_bytes());
    hash.finalize().into()
}

/// Seals a value.
pub(crate) fn seal(
    key: &Ready,
    key_id: &Id,
    version: u16,
    fresh: &Fresh,
    at: Place<'_>,
    value: &str,
) -> String {
    let cipher = if matches!(key, Ready::Gcm(_)) { Cipher::Sm4Gcm } else { Cipher::Sm4Ctr };
    let mut blob = Vec::with_capacity(1 + 16 + 2 + 16 + COMMITMENT + SALT + value.len() + TAG);
    blob.push(cipher as u8);
    blob.extend_from_slice(key_id);
    blob.extend_from_slice(&version.to_be_bytes());
    blob.extend_from_slice(&fresh.nonce);
    if cipher == Cipher::Sm4Ctr {
        blob.extend_from_slice(&[0; 4]); // the counter proper begins at nought
    }
    blob.extend_from_slice(&commitment(&fresh.salt, at, value));
    let head = blob.len();
    blob.extend_from_slice(&fresh.salt);
    blob.extend_from_slice(value.as_bytes());
    let (header, text) = blob.split_at_mut(head);
    match key {
        Ready::Gcm(gcm) => {
            // A field of an event is never too long for GCM.
            let tag = gcm.encrypt_in_place(&fresh.nonce, header, text).unwrap_or_default();
            blob.extend_from_slice(&tag);
        }
        Ready::Ctr(sm4) => sm4.apply_ctr(&counter(&fresh.nonce), text),
    }
    let mut out = String::with_capacity(SEALED.len() + blob.len().div_ceil(3) * 4 + 1 + TOKEN_CODE);
    out.push_str(SEALED);
    URL_SAFE_NO_PAD.encode_string(&blob, &mut out);
    out
}

fn counter(nonce: &[u8; 12]) -> [u8; 16] {
    let mut block = [0; 16];
    block[..12].copy_from_slice(nonce);
    block
}

/// The code of a value's token: under the subject's key, and of one label.
pub(crate) fn token_code(key: &HmacSm3, label: &str, value: &str) -> String {
    let mut hmac = key.clone();
    hmac.update(label.as_bytes());
    hmac.update(&[0]); // no label holds one
    hmac.update(value.as_bytes());
    URL_SAFE_NO_PAD.encode(&hmac.finalize()[..TOKEN_BYTES])
}

/// The token of a value under the key of its subject.
pub(crate) fn token(key: &Zeroizing<[u8; 32]>, label: &str, value: &str) -> String {
    format!("{TOKEN}{}", token_code(&HmacSm3::new(key.as_slice()), label, value))
}

/// A name that stands for a subject under a key that nobody keeps.
pub(crate) fn pseudonym(key: &HmacSm3, kind: &str, id: &str) -> String {
    format!("anon:{}", token_code(key, kind, id))
}

impl SealedField {
    /// Takes a sealed text apart; nothing when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(SEALED)?;
        let (blob, token) = match rest.split_once(':') {
            Some((blob, token)) => (blob, Some(token)),
            None => (rest, None),
        };
        let coded = |t: &str| URL_SAFE_NO_PAD.decode(t).is_ok_and(|bytes| bytes.len() == TOKEN_BYTES);
        if token.is_some_and(|token| !coded(token)) {
            return None;
        }
        let blob = URL_SAFE_NO_PAD.decode(blob).ok()?;
        let (cipher, rest) = blob.split_first()?;
        let cipher = Cipher::of(*cipher)?;
        let (key_id, rest) = rest.split_first_chunk::<16>()?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        let (nonce, rest) = rest.split_at_checked(if cipher == Cipher::Sm4Gcm { 12 } else { 16 })?;
        let (commitment, ciphertext) = rest.split_first_chunk::<COMMITMENT>()?;
        let least = SALT + if cipher == Cipher::Sm4Gcm { TAG } else { 0 };
        (ciphertext.len() >= least).then(|| Self {
            cipher,
            key_id: *key_id,
            key_version: u16::from_be_bytes(*version),
            nonce: nonce.to_vec(),
            commitment: *commitment,
            ciphertext: ciphertext.to_vec(),
            token: token.map(str::to_owned),
        })
    }

    /// The text again.
    #[must_use]
    pub fn encode(&self) -> String {
        let blob = [&self.header(), self.ciphertext.as_slice()].concat();
        let mut out = format!("{SEALED}{}", URL_SAFE_NO_PAD.encode(blob));
        if let Some(token) = &self.token {
            out.push(':');
            out.push_str(token);
        }
        out
    }

    fn header(&self) -> Vec<u8> {
        let head = [self.cipher as u8];
        [&head, &self.key_id[..], &self.key_version.to_be_bytes(), &self.nonce, &self.commitment].concat()
    }

    /// Opens it; nothing when the key is another, or it stood at another place.
    pub(crate) fn open(&self, secret: &[u8; 16], at: Place<'_>) -> Option<Opened> {
        let mut text = Zeroizing::new(self.ciphertext.clone());
        match Ready::new(self.cipher, secret) {
            Ready::Gcm(gcm) => {
                let body = text.len().checked_sub(TAG)?;
                let tag = *text.last_chunk::<TAG>()?;
                text.truncate(body);
                let nonce = self.nonce.first_chunk::<12>()?;
                gcm.decrypt_in_place(nonce, &self.header(), &mut text, &tag).ok()?;
            }
            Ready::Ctr(sm4) => sm4.apply_ctr(self.nonce.first_chunk::<16>()?, &mut text),
        }
        let (salt, value) = text.split_first_chunk::<SALT>()?;
        let value = std::str::from_utf8(value).ok()?;
        let expected = commitment(salt, at, value);
        bool::from(expected.ct_eq(&self.commitment))
            .then(|| Opened { salt: *salt, value: Zeroizing::new(value.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const AT: Place<'_> = Place { event: &[7; 16], path: "ctx.phone" };

    fn sealed(cipher: Cipher, nonce: u8) -> String {
        let fresh = Fresh { nonce: [nonce; 12], salt: [2; 16] };
        seal(&Ready::new(cipher, &[9; 16]), &[5; 16], 3, &fresh, AT, "13812341234")
    }

    #[test]
    fn what_was_sealed_opens_at_its_place_only() {
        for cipher in [Cipher::Sm4Gcm, Cipher::Sm4Ctr] {
            let text = sealed(cipher, 1);
            assert_ne!(text, sealed(cipher, 2), "equal values, other nonces");
            let field = SealedField::parse(&text).unwrap();
            assert_eq!(field.encode(), text);
            assert_eq!((field.cipher, field.key_id, field.key_version), (cipher, [5; 16], 3));
            assert_eq!(field.open(&[9; 16], AT).unwrap().value.as_str(), "13812341234");
            assert!(field.open(&[8; 16], AT).is_none());
            assert!(field.open(&[9; 16], Place { path: "ctx.phones", ..AT }).is_none());
            assert!(field.open(&[9; 16], Place { event: &[8; 16], ..AT }).is_none());
            for at in 0..field.ciphertext.len() {
                let mut changed = field.clone();
                changed.ciphertext[at] ^= 1;
                assert!(changed.open(&[9; 16], AT).is_none(), "{cipher:?}, byte {at}");
            }
        }
    }

    /// OpenSSL is the judge of the cipher: salt and value stand behind its key stream.
    #[test]
    fn openssl_opens_the_counter_mode() {
        let field = SealedField::parse(&sealed(Cipher::Sm4Ctr, 1)).unwrap();
        let mut command = Command::new("openssl");
        command.args([
            "enc",
            "-d",
            "-sm4-ctr",
            "-K",
            &hex::encode([9u8; 16]),
            "-iv",
            &hex::encode(&field.nonce),
        ]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("openssl is installed by scripts/setup.sh");
        child.stdin.take().unwrap().write_all(&field.ciphertext).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, [&[2; 16][..], b"13812341234"].concat());
    }

    #[test]
    fn tokens_match_under_one_key_and_label() {
        let (one, other) = (HmacSm3::new(&[1; 32]), HmacSm3::new(&[2; 32]));
        let code = token_code(&one, "mobile", "13812341234");
        assert_eq!(code.len(), TOKEN_CODE);
        assert_eq!(code, token_code(&one, "mobile", "13812341234"));
        for different in [
            token_code(&one, "mobile", "13812341235"),
            token_code(&one, "card", "13812341234"),
            token_code(&other, "mobile", "13812341234"),
        ] {
            assert_ne!(code, different);
        }
    }
}
