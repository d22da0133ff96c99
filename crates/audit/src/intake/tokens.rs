//! Bearer tokens (RFC 6750): who may come in over HTTP, and to what. The file is `docs/formats/tokens.md`.
//!
//! A token is 256 random bits, so one SHA-256 of it is all that need be kept: there is nothing to guess. The file is
//! searched to its end whatever is found, and digests are compared in constant time.

use std::fmt;

use base64::Engine as _;
use event::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

/// Begins every token, so that scanners for leaked secrets know one.
const PREFIX: &str = "cst_";
/// The first line of the file.
const HEADER: &str = "# custody-tokens-v1";
/// Tokens in one file: all of them are compared for every request.
const MAX_TOKENS: usize = 1000;
/// Bytes of the file that are read.
const MAX_FILE: usize = 1 << 20;

/// What a caller may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Right {
    /// Offer events.
    Record,
    /// Read events; each reading is recorded.
    Read,
    /// Follow the log as a monitor does: checkpoints, tiles of hashes, proofs, whether a trace was seen.
    Monitor,
    /// Read the daemon's figures.
    Metrics,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Record, Self::Read, Self::Monitor, Self::Metrics];

    /// The word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Read => "read",
            Self::Monitor => "monitor",
            Self::Metrics => "metrics",
        }
    }
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rights(u8);

impl Rights {
    /// Every right.
    pub const ALL: Self = Self(0b1111);

    /// Whether a right is among them.
    #[must_use]
    pub fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }

    /// Those of a list of words joined by commas.
    ///
    /// # Errors
    /// The word that is no right.
    pub fn parse(words: &str) -> Result<Self, String> {
        words.split(',').try_fold(Self::default(), |rights, word| {
            let right = Right::ALL.into_iter().find(|right| right.as_str() == word);
            let right = right.ok_or_else(|| word.chars().take(40).collect::<String>())?;
            Ok(Self(rights.0 | 1 << right as u8))
        })
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> =
            Right::ALL.into_iter().filter(|right| self.has(*right)).map(Right::as_str).collect();
        f.write_str(&words.join(","))
    }
}

/// Why a token file is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A line that is none of the format.
    #[error("line {line} {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// The rule that it breaks.
        why: String,
    },
    /// Too long, or of too many tokens.
    #[error("a token file has at most {MAX_TOKENS} tokens in 1 MiB")]
    TooLong,
    /// A name that tokens cannot have.
    #[error("`{name}` is not a name for a token: letters, digits, `_`, `.`, `-`, at most 64")]
    Name {
        /// As given, shortened.
        name: String,
    },
}

/// A secret that is shown once.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token of 32 random bytes.
    #[must_use]
    pub fn new(random: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 44));
        text.push_str(PREFIX);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode_string(random, &mut text);
        Self(text)
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The line of the file for a token: its name, its rights, its digest, and when it ends.
///
/// # Errors
/// [`TokenError::Name`].
pub fn token_line(
    name: &str,
    rights: Rights,
    token: &Token,
    ends: Option<Timestamp>,
) -> Result<String, TokenError> {
    if !is_name(name) {
        return Err(TokenError::Name { name: name.chars().take(80).collect() });
    }
    let digest = hex::encode(Sha256::digest(token.reveal()));
    let ends = ends.map(|ends| format!(" {ends}")).unwrap_or_default();
    Ok(format!("{name} {rights} sha256:{digest}{ends}\n"))
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}

struct Entry {
    name: String,
    rights: Rights,
    digest: [u8; 32],
    ends: Option<Timestamp>,
}

/// The tokens of a file.
#[derive(Default)]
pub struct Tokens(Vec<Entry>);

impl Tokens {
    /// The first line of a new file.
    #[must_use]
    pub fn header() -> String {
        format!("{HEADER}\n")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The first line that is not of the format.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_FILE {
            return Err(TokenError::TooLong);
        }
        let mut lines = text.lines().zip(1..);
        if lines.next().is_none_or(|(first, _)| first.trim_end() != HEADER) {
            return Err(TokenError::Line { line: 1, why: format!("must be `{HEADER}`") });
        }
        let mut tokens = Self::default();
        for (text, line) in lines.filter(|(text, _)| !text.trim().is_empty() && !text.starts_with('#')) {
            let entry = read_line(text).map_err(|why| TokenError::Line { line, why })?;
            if tokens.0.iter().any(|known| known.name == entry.name) {
                return Err(TokenError::Line { line, why: format!("names `{}` a second time", entry.name) });
            }
            if tokens.0.len() == MAX_TOKENS {
                return Err(TokenError::TooLong);
            }
            tokens.0.push(entry);
        }
        Ok(tokens)
    }

    /// Whose token this is, and what it allows; nothing for one that is unknown or has ended.
    #[must_use]
    pub fn find(&self, presented: &str, now: Timestamp) -> Option<(&str, Rights)> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let (mut at, mut known) = (0u32, Choice::from(0));
        for (entry, place) in self.0.iter().zip(0u32..) {
            let same = entry.digest.ct_eq(&digest);
            at.conditional_assign(&place, same);
            known |= same;
        }
        let entry = self.0.get(usize::try_from(at).ok()?).filter(|_| bool::from(known))?;
        entry.ends.is_none_or(|ends| now < ends).then_some((entry.name.as_str(), entry.rights))
    }

    /// Names, rights and ends, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Rights, Option<Timestamp>)> {
        self.0.iter().map(|entry| (entry.name.as_str(), entry.rights, entry.ends))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn read_line(text: &str) -> Result<Entry, String> {
    let words: Vec<&str> = text.split_ascii_whitespace().take(5).collect();
    let (name, rights, digest, ends) = match words[..] {
        [name, rights, digest] => (name, rights, digest, None),
        [name, rights, digest, ends] => (name, rights, digest, Some(ends)),
        _ => return Err("is not `NAME RIGHTS sha256:DIGEST [END]`".into()),
    };
    if !is_name(name) {
        return Err("names a token by other than letters, digits, `_`, `.`, `-`".into());
    }
    let rights = Rights::parse(rights)
        .map_err(|word| format!("gives the right `{word}`; there are record, read, monitor, metrics"))?;
    let mut bytes = [0u8; 32];
    digest
        .strip_prefix("sha256:")
        .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
        .ok_or("has no digest `sha256:` of 64 hexadecimal digits")?;
    let ends = ends.map(Timestamp::parse).transpose().map_err(|why| format!("ends at a time that {why}"))?;
    Ok(Entry { name: name.to_owned(), rights, digest: bytes, ends })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_token_is_found_by_itself_only_and_until_it_ends() {
        let (first, second) = (Token::new(&[1; 32]), Token::new(&[2; 32]));
        let ends = time("2026-12-01T00:00:00Z");
        let file = [
            Tokens::header(),
            "# the payment service\n\n".into(),
            token_line("payments", Rights::parse("record").unwrap(), &first, None).unwrap(),
            token_line("auditor", Rights::parse("read,monitor").unwrap(), &second, Some(ends)).unwrap(),
        ];
        assert!(!file.concat().contains(first.reveal()));
        let tokens = Tokens::parse(&file.concat()).unwrap();
        let now = time("2026-11-20T00:00:00Z");
        let (name, rights) = tokens.find(first.reveal(), now).unwrap();
        assert_eq!((name, rights.to_string().as_str()), ("payments", "record"));
        assert!(rights.has(Right::Record) && !rights.has(Right::Read));
        assert_eq!(tokens.find(second.reveal(), now).unwrap().0, "auditor");
        assert!(tokens.find(second.reveal(), ends).is_none(), "it has ended");
        assert!(tokens.find("cst_", now).is_none());
        assert!(tokens.find("", now).is_none());
        assert!(Tokens::parse(&Tokens::header()).unwrap().find(first.reveal(), now).is_none());
    }

    #[test]
    fn what_is_no_token_file_is_refused_with_its_line() {
        let digest = "0".repeat(64);
        for (body, line) in [
            ("", 1),
            ("payments record sha256:00\n", 1),
            ("# custody-tokens-v1\npayments record sha256:00\n", 2),
            (&format!("# custody-tokens-v1\npay/ments record sha256:{digest}\n"), 2),
            (&format!("# custody-tokens-v1\n\npayments write sha256:{digest}\n"), 3),
            (&format!("# custody-tokens-v1\na record sha256:{digest}\na read sha256:{digest}\n"), 3),
            (&format!("# custody-tokens-v1\na record sha256:{digest} tomorrow\n"), 2),
            (&format!("# custody-tokens-v1\na record sha256:{digest} x y\n"), 2),
        ] {
            match Tokens::parse(body).map(|_| ()) {
                Err(TokenError::Line { line: found, .. }) => assert_eq!(found, line, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}
