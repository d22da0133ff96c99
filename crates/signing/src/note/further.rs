//! Lines of a note beside the Ed25519 one: SM2 signatures, and timestamps of RFC 3161.
//!
//! Neither has a type byte in c2sp.org/signed-note, so both are of type 0xff with a longer identifier ("Signature types"),
//! and whoever does not know them passes over them. Their layout stands in `docs/formats/ledger.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gm::sm2::PublicKey;

use super::{Line, MAX_NOTE, MAX_SIGNATURES, check_name, key_hash_of, malformed, split};
use crate::{Signer, SigningError, Sm2Verifier, Verifier as _};

/// The type byte of algorithms that have none of their own.
const TYPE_LONGER: u8 = 0xff;
/// SM2 with SM3 (GB/T 32918.2) under the default identity, in DER; the key is the uncompressed point.
const SM2: &[u8] = b"custody.sm2-sm3.v1";
/// A `TimeStampToken` (RFC 3161 §2.4.2) over the text; no key is named, the token carries its certificate.
const TIMESTAMP: &[u8] = b"custody.rfc3161.v1";

/// An SM2 key that signs notes beside another key.
pub struct Sm2NoteSigner {
    verifier: Sm2NoteVerifier,
    key: Box<dyn Signer>,
}

/// A named SM2 key. Its text is `<name>+<key hash>+<base64(0xff ‖ identifier ‖ point)>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sm2NoteVerifier {
    name: String,
    key: Sm2Verifier,
}

impl Sm2NoteSigner {
    /// Binds a key to the name it signs under.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when the name is none, or the key is not of SM2.
    pub fn new(name: impl Into<String>, key: Box<dyn Signer>) -> Result<Self, SigningError> {
        let public = Sm2Verifier::from_spki_der(&key.public_key_der())?;
        Ok(Self { verifier: Sm2NoteVerifier::new(name, public)?, key })
    }

    /// The verifier of its lines.
    #[must_use]
    pub fn verifier(&self) -> &Sm2NoteVerifier {
        &self.verifier
    }

    /// Its line over a text, with its newline.
    pub(super) fn line(&self, text: &str) -> Result<String, SigningError> {
        Ok(line(&self.verifier.name, self.verifier.hash(), &self.key.sign(text.as_bytes())?))
    }
}

impl Sm2NoteVerifier {
    /// Binds a public key to its name.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when the name is none.
    pub fn new(name: impl Into<String>, key: Sm2Verifier) -> Result<Self, SigningError> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self { name, key })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when a part is missing, not SM2, or the hash does not belong to the key.
    pub fn parse(text: &str) -> Result<Self, SigningError> {
        let bad = |why: &str| SigningError::malformed("note verifier key of SM2", why);
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it is not `name+hash+key`"));
        };
        let key = STANDARD.decode(key).map_err(|_| bad("the key is not base64"))?;
        let point = key.strip_prefix(&[TYPE_LONGER]).and_then(|rest| rest.strip_prefix(SM2));
        let point = point.ok_or_else(|| bad("it is not an SM2 key"))?;
        if point.len() != 65 {
            return Err(bad("the point is not 65 bytes long"));
        }
        let point = PublicKey::from_sec1(point).map_err(|e| bad(&e.to_string()))?;
        let found = Self::new(name, Sm2Verifier::from_spki_der(&point.to_spki_der())?)?;
        if !hash.eq_ignore_ascii_case(&format!("{:08x}", u32::from_be_bytes(found.hash()))) {
            return Err(bad("the hash does not belong to the key"));
        }
        Ok(found)
    }

    /// The name that stands in the signature line.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn hash(&self) -> [u8; 4] {
        key_hash_of(&self.name, &[&[TYPE_LONGER], SM2, &self.key.key().to_sec1()])
    }

    /// Whether the note has a line by this key, unchecked.
    pub(super) fn is_named(&self, lines: &[Line<'_>]) -> bool {
        lines.iter().any(|line| line.is_by(&self.name, self.hash()))
    }

    /// That the note carries this key's signature over its text.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when it is no note, [`SigningError::NoTrustedSignature`] without a line by this key,
    /// [`SigningError::BadSignature`] when a line by it does not hold.
    pub fn verify(&self, note: &str) -> Result<(), SigningError> {
        let (text, lines) = split(note)?;
        let mut own = lines.iter().filter(|line| line.is_by(&self.name, self.hash())).peekable();
        if own.peek().is_none() {
            let signers = lines.iter().map(|line| line.name).collect::<Vec<_>>().join(", ");
            return Err(SigningError::NoTrustedSignature { signers });
        }
        own.try_for_each(|line| self.key.verify(text.as_bytes(), &line.signature))
            .map_err(|_| SigningError::BadSignature { key: self.name.clone() })
    }
}

impl std::fmt::Display for Sm2NoteVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoded = STANDARD.encode([&[TYPE_LONGER], SM2, self.key.key().to_sec1().as_slice()].concat());
        write!(f, "{}+{:08x}+{encoded}", self.name, u32::from_be_bytes(self.hash()))
    }
}

/// A timestamp in a note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteTimestamp {
    /// Who was asked, as the line names it; nothing vouches for it.
    pub name: String,
    /// The `TimeStampToken`, DER.
    pub token: Vec<u8>,
}

/// The text of a note, which is what signatures and timestamps are over.
///
/// # Errors
/// [`SigningError::Malformed`] when it is no note.
pub fn text(note: &str) -> Result<&str, SigningError> {
    split(note).map(|(text, _)| text)
}

/// The note with a timestamp over its text behind its last line.
///
/// # Errors
/// [`SigningError::Malformed`] when it is no note, or would be too large.
pub fn add_timestamp(note: &str, name: &str, token: &[u8]) -> Result<String, SigningError> {
    let (_, lines) = split(note)?;
    check_name(name)?;
    let stamped = format!("{note}{}", line(name, key_hash_of(name, &[&[TYPE_LONGER], TIMESTAMP]), token));
    if lines.len() >= MAX_SIGNATURES || stamped.len() > MAX_NOTE {
        return Err(malformed("it has no room for another line"));
    }
    Ok(stamped)
}

/// The timestamps of a note, in the order of their lines, unchecked.
///
/// # Errors
/// [`SigningError::Malformed`] when it is no note.
pub fn timestamps(note: &str) -> Result<Vec<NoteTimestamp>, SigningError> {
    let (_, lines) = split(note)?;
    let stamps = lines
        .into_iter()
        .filter(|line| line.is_by(line.name, key_hash_of(line.name, &[&[TYPE_LONGER], TIMESTAMP])));
    Ok(stamps.map(|line| NoteTimestamp { name: line.name.to_owned(), token: line.signature }).collect())
}

fn line(name: &str, hash: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([&hash, signature].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::NoteSigner;
    use crate::{Ed25519Signer, Sm2Signer};

    fn both() -> (NoteSigner, Sm2NoteVerifier) {
        let sm2 = Sm2NoteSigner::new("log", Box::new(Sm2Signer::generate().unwrap())).unwrap();
        let verifier = sm2.verifier().clone();
        let signer = NoteSigner::new("log", Ed25519Signer::generate().unwrap()).unwrap();
        (signer.and(sm2), verifier)
    }

    #[test]
    fn both_lines_hold_and_each_alone_is_judged() {
        let (signer, sm2) = both();
        let note = signer.sign("a\nb\n").unwrap();
        assert_eq!(note.lines().count(), 5);
        signer.verifier().open(&note).unwrap();
        sm2.verify(&note).unwrap();
        assert!(signer.has_signed(&note));
        let changed = note.replace("a\nb", "a\nc");
        assert!(matches!(sm2.verify(&changed), Err(SigningError::BadSignature { .. })));
        let without: String = note.lines().take(4).map(|line| format!("{line}\n")).collect();
        signer.verifier().open(&without).unwrap();
        assert!(matches!(sm2.verify(&without), Err(SigningError::NoTrustedSignature { .. })));
        assert!(!signer.has_signed(&without));
        let (_, other) = both();
        assert!(other.verify(&note).is_err());
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let (_, sm2) = both();
        let text = sm2.to_string();
        assert_eq!(Sm2NoteVerifier::parse(&text).unwrap(), sm2);
        for bad in [
            text.replacen("log+", "lag+", 1),
            text[..text.len() - 4].to_owned(),
            "log+00000000+AQ==".to_owned(),
            "log".to_owned(),
            String::new(),
        ] {
            assert!(Sm2NoteVerifier::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_timestamp_is_one_more_line() {
        let (signer, sm2) = both();
        let note = signer.sign("a\n").unwrap();
        assert_eq!(timestamps(&note).unwrap(), []);
        let stamped = add_timestamp(&note, "tsa.example", b"token").unwrap();
        let expected = NoteTimestamp { name: "tsa.example".into(), token: b"token".to_vec() };
        assert_eq!(timestamps(&stamped).unwrap(), [expected]);
        assert_eq!(text(&stamped).unwrap(), "a\n");
        signer.verifier().open(&stamped).unwrap();
        sm2.verify(&stamped).unwrap();
        assert!(add_timestamp(&note, "a b", b"token").is_err());
        assert!(add_timestamp(&note, "a", &vec![0; MAX_NOTE]).is_err());
        assert!(add_timestamp("no note", "a", b"token").is_err());
    }
}
