//! Signed notes, c2sp.org/signed-note: text, an empty line, and signature lines. Checkpoints are such notes.

mod further;

pub use further::{NoteTimestamp, Sm2NoteSigner, Sm2NoteVerifier, add_timestamp, text, timestamps};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use crate::{Ed25519Signer, Ed25519Verifier, Signer as _, SigningError, Verifier as _};

/// Signature type byte of Ed25519 in the key hash and in verifier keys (c2sp.org/signed-note, "Signature types").
const TYPE_ED25519: u8 = 0x01;
/// A note longer than this is refused before it is read (checkpoints are a few hundred bytes).
pub const MAX_NOTE: usize = 1 << 20;
/// More signature lines than this are refused; the specification asks for 16 at least, Go's package takes 100.
pub const MAX_SIGNATURES: usize = 100;

/// A key that signs notes under a name.
pub struct NoteSigner {
    name: String,
    key: Ed25519Signer,
    further: Vec<Sm2NoteSigner>,
}

/// A named public key. Its text is `<name>+<key hash>+<base64(type ‖ key)>`, which Go's `note.NewVerifier` reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteVerifier {
    name: String,
    key: Ed25519Verifier,
}

/// A note whose text was signed by a key the caller named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenedNote {
    /// The text, with its final newline.
    pub text: String,
    /// Names of the trusted keys whose signature holds, in the order of the lines.
    pub signed_by: Vec<String>,
}

/// "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus" (c2sp.org/signed-note, "Format");
/// a control character would make the whole note invalid.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c < ' ' || c.is_whitespace())
}

fn check_name(name: &str) -> Result<(), SigningError> {
    if is_name(name) {
        return Ok(());
    }
    Err(SigningError::malformed("note key name", "it must be non-empty, without spaces and without `+`"))
}

/// Notes hold no ASCII control characters below U+0020 but newline (the same place).
fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' && byte != b'\n')
}

fn key_hash(name: &str, key: &[u8; 32]) -> [u8; 4] {
    key_hash_of(name, &[&[TYPE_ED25519], key])
}

/// First four bytes of SHA-256(name ‖ LF ‖ type ‖ key).
fn key_hash_of(name: &str, parts: &[&[u8]]) -> [u8; 4] {
    let mut hash = sha2::Sha256::new().chain_update(name.as_bytes()).chain_update(b"\n");
    parts.iter().for_each(|part| hash.update(part));
    let digest = hash.finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

impl NoteSigner {
    /// Binds a key to the name it signs under.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when the name is empty or holds a space or a `+`.
    pub fn new(name: impl Into<String>, key: Ed25519Signer) -> Result<Self, SigningError> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self { name, key, further: Vec::new() })
    }

    /// Has another key sign each note too, in a line behind this key's.
    #[must_use]
    pub fn and(mut self, further: Sm2NoteSigner) -> Self {
        self.further.push(further);
        self
    }

    /// Whether a note that this key signed carries a line by each of the further keys, unchecked.
    #[must_use]
    pub fn has_signed(&self, note: &str) -> bool {
        split(note).is_ok_and(|(_, lines)| self.further.iter().all(|key| key.verifier().is_named(&lines)))
    }

    /// The name that stands in the signature line.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The verifier of this signer's notes.
    #[must_use]
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier { name: self.name.clone(), key: self.key.verifier() }
    }

    /// The signed note of `text`, which must end in a newline.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when the text is not one that a note can carry.
    pub fn sign(&self, text: &str) -> Result<String, SigningError> {
        if !text.ends_with('\n') {
            return Err(SigningError::malformed("note text", "it must end in a newline"));
        }
        if has_control(text) {
            return Err(SigningError::malformed("note text", "it holds a control character"));
        }
        let mut line = key_hash(&self.name, &self.key.verifier().to_bytes()).to_vec();
        line.extend(self.key.sign(text.as_bytes())?);
        let mut note = format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode(line));
        for further in &self.further {
            note.push_str(&further.line(text)?);
        }
        if note.len() > MAX_NOTE {
            return Err(SigningError::malformed("note text", "the note would be larger than 1 MiB"));
        }
        Ok(note)
    }
}

impl NoteVerifier {
    /// Binds a public key to its name.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when the name is empty or holds a space or a `+`.
    pub fn new(name: impl Into<String>, key: Ed25519Verifier) -> Result<Self, SigningError> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self { name, key })
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`SigningError::Malformed`] when a part is missing, not Ed25519, or the hash does not belong to the key.
    pub fn parse(text: &str) -> Result<Self, SigningError> {
        let bad = |why: &str| SigningError::malformed("note verifier key", why);
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it is not `name+hash+key`"));
        };
        let key = STANDARD.decode(key).map_err(|_| bad("the key is not base64"))?;
        let Some((&TYPE_ED25519, key)) = key.split_first() else {
            return Err(bad("it is not an Ed25519 key"));
        };
        let key: [u8; 32] = key.try_into().map_err(|_| bad("the key is not 32 bytes long"))?;
        let expected: String = key_hash(name, &key).iter().map(|b| format!("{b:02x}")).collect();
        if !hash.eq_ignore_ascii_case(&expected) {
            return Err(bad("the hash does not belong to the key"));
        }
        Self::new(name, Ed25519Verifier::from_bytes(&key)?)
    }

    /// The name that stands in the signature line.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a note that must carry a signature by this key.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(&self, note: &str) -> Result<OpenedNote, SigningError> {
        open(note, std::slice::from_ref(self))
    }
}

impl std::fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.key.to_bytes();
        let hash = u32::from_be_bytes(key_hash(&self.name, &key));
        let encoded = STANDARD.encode([&[TYPE_ED25519], key.as_slice()].concat());
        write!(f, "{}+{hash:08x}+{encoded}", self.name)
    }
}

/// Opens a note: at least one line must be by a trusted key, and every line that names one must verify.
///
/// # Errors
/// [`SigningError::Malformed`], [`SigningError::BadSignature`] or [`SigningError::NoTrustedSignature`].
pub fn open(note: &str, trusted: &[NoteVerifier]) -> Result<OpenedNote, SigningError> {
    let (text, lines) = split(note)?;
    let mut signed_by: Vec<String> = Vec::new();
    for line in &lines {
        if line.verify(text, trusted)? && !signed_by.iter().any(|name| name == line.name) {
            signed_by.push(line.name.to_owned());
        }
    }
    if signed_by.is_empty() {
        let signers = lines.iter().map(|line| line.name).collect::<Vec<_>>().join(", ");
        return Err(SigningError::NoTrustedSignature { signers });
    }
    Ok(OpenedNote { text: text.to_owned(), signed_by })
}

/// One signature line: `— <name> base64(key hash ‖ signature)`.
struct Line<'a> {
    name: &'a str,
    hash: [u8; 4],
    signature: Vec<u8>,
}

/// The text with its final newline, and the signature lines, of which there is at least one.
fn split(note: &str) -> Result<(&str, Vec<Line<'_>>), SigningError> {
    if note.len() > MAX_NOTE {
        return Err(malformed("it is larger than 1 MiB"));
    }
    if has_control(note) {
        return Err(malformed("it holds a control character"));
    }
    let blank = note.rfind("\n\n").ok_or_else(|| malformed("no empty line before the signatures"))?;
    let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
    let signatures = signatures.strip_suffix('\n').ok_or_else(|| malformed("no complete signature line"))?;
    if signatures.split('\n').count() > MAX_SIGNATURES {
        return Err(malformed("it has more than 100 signatures"));
    }
    let lines = signatures.split('\n').map(Line::parse).collect::<Result<_, _>>()?;
    Ok((text, lines))
}

fn malformed(why: &str) -> SigningError {
    SigningError::malformed("signed note", why)
}

impl<'a> Line<'a> {
    fn is_by(&self, name: &str, hash: [u8; 4]) -> bool {
        self.name == name && self.hash == hash
    }

    fn parse(line: &'a str) -> Result<Self, SigningError> {
        let (name, blob) = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '))
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| malformed("a signature line is not `— name base64`"))?;
        let blob = STANDARD.decode(blob).map_err(|_| malformed("a signature is not base64"))?;
        match blob.split_first_chunk::<4>() {
            Some((hash, signature)) if !signature.is_empty() => {
                Ok(Self { name, hash: *hash, signature: signature.to_vec() })
            }
            _ => Err(malformed("a signature is too short")),
        }
    }

    /// Whether a trusted key made it. Name *and* hash select the key; a line by a key that shares one of them only
    /// is a stranger's, and ignored. A known key's line that does not verify condemns the note.
    fn verify(&self, text: &str, trusted: &[NoteVerifier]) -> Result<bool, SigningError> {
        let known =
            |v: &&NoteVerifier| v.name == self.name && key_hash(&v.name, &v.key.to_bytes()) == self.hash;
        let mut keys = trusted.iter().filter(known).peekable();
        if keys.peek().is_none() {
            return Ok(false);
        }
        if keys.any(|v| v.key.verify(text.as_bytes(), &self.signature).is_ok()) {
            return Ok(true);
        }
        Err(SigningError::BadSignature { key: self.name.to_owned() })
    }
}

#[cfg(test)]
mod tests;
