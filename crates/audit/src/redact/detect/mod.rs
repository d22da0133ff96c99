//! Personal values in text, found by hand: one look at the bytes says which matchers can find anything at all.
//!
//! What each kind is, is written in `docs/formats/redaction.md`; `fuzzing::detectors` holds the matchers to an oracle of
//! regular expressions. A match stands apart from letters and digits on both sides; `_` and bytes beyond ASCII part.

mod address;
mod email;
mod numbers;

pub(crate) use address::truncated as truncated_address;
pub(crate) use numbers::is_identity_card;

/// A kind of value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A mobile telephone number of mainland China: 1, 3 to 9, nine digits.
    Mobile,
    /// A resident identity card number with its check digit, GB 11643-1999.
    Idcard,
    /// A payment card number, ISO/IEC 7812-1, with its check digit (Luhn).
    Bankcard,
    /// An electronic mail address.
    Email,
    /// An IPv4 or IPv6 address.
    Ip,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mobile, Self::Idcard, Self::Bankcard, Self::Email, Self::Ip];

    /// Its name in the policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Idcard => "idcard",
            Self::Bankcard => "bankcard",
            Self::Email => "email",
            Self::Ip => "ip",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Some of the kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    fn any(self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|kind| self.has(*kind))
    }
}

/// A value in a text, as a range of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hit {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Least digits of anything that is a number here: a mobile number's.
const LEAST_DIGITS: usize = 11;

/// Appends the values of the wanted kinds, leftmost first; of two that overlap, the one that begins first, then the
/// longer, then the one whose kind comes first.
pub(crate) fn find(text: &str, wanted: Kinds, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let seen = Seen::of(bytes);
    let first = hits.len();
    if seen.digits >= LEAST_DIGITS && wanted.any(&[Kind::Mobile, Kind::Idcard, Kind::Bankcard]) {
        numbers::find(bytes, wanted, hits);
    }
    if seen.at && wanted.has(Kind::Email) {
        email::find(bytes, hits);
    }
    if wanted.has(Kind::Ip) && (seen.colons >= 2 || seen.dots >= 3 && seen.digits >= 4) {
        address::find(text, hits);
    }
    if hits.len() > first + 1 {
        part(hits, first);
    }
}

/// Drops what overlaps something before it.
fn part(hits: &mut Vec<Hit>, first: usize) {
    hits[first..].sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end), hit.kind));
    let mut end = 0;
    let mut at = 0;
    hits.retain(|hit| {
        at += 1;
        let keep = at <= first || hit.start >= end;
        if keep && at > first {
            end = hit.end;
        }
        keep
    });
}

/// Which bytes a text has; written so that the compiler makes vector instructions of it.
struct Seen {
    digits: usize,
    dots: usize,
    colons: usize,
    at: bool,
}

impl Seen {
    fn of(bytes: &[u8]) -> Self {
        let mut seen = Self { digits: 0, dots: 0, colons: 0, at: false };
        // Counters of one byte each hold 255: so many bytes at a time.
        for chunk in bytes.chunks(255) {
            let (mut digits, mut dots, mut colons, mut at) = (0u8, 0u8, 0u8, 0u8);
            for &byte in chunk {
                digits += u8::from(byte.wrapping_sub(b'0') < 10);
                dots += u8::from(byte == b'.');
                colons += u8::from(byte == b':');
                at |= u8::from(byte == b'@');
            }
            seen.digits += usize::from(digits);
            seen.dots += usize::from(dots);
            seen.colons += usize::from(colons);
            seen.at |= at != 0;
        }
        seen
    }
}

/// Whether a value may begin or end here: no letter and no digit on the other side.
fn parts(byte: Option<&u8>) -> bool {
    byte.is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

fn before(bytes: &[u8], at: usize) -> Option<&u8> {
    at.checked_sub(1).and_then(|at| bytes.get(at))
}
