//! The query of a request's target: `name=value` joined by `&`, percent-encoded (RFC 3986 §3.4, and `+` for a space
//! as HTML forms write it). A name given twice, or one that nobody reads, is a mistake worth telling.

/// Parts of a query that are read; more is a mistake.
const MAX_PARTS: usize = 32;
/// Bytes of a query that are read.
const MAX_LENGTH: usize = 4096;

/// Why a query is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Longer, or of more parts, than is read.
    #[error("the query is longer than {MAX_LENGTH} bytes or {MAX_PARTS} parts")]
    TooLong,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the query's part {part} is not percent-encoded UTF-8")]
    Encoding {
        /// Which part, from 0.
        part: usize,
    },
    /// A name given twice.
    #[error("`{name}` is given twice in the query")]
    Twice {
        /// The name.
        name: String,
    },
    /// A name that this place does not know.
    #[error("`{name}` is not known here; it takes {known}")]
    Unknown {
        /// The name, shortened.
        name: String,
        /// What is known.
        known: String,
    },
}

/// The names and values of a query, in the order they came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// That nothing else was asked for.
    ///
    /// # Errors
    /// [`QueryError::Unknown`] with the first name that is not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), QueryError> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                Err(QueryError::Unknown { name: name.chars().take(40).collect(), known })
            }
        }
    }
}

/// Reads the part of a target behind its `?`.
///
/// # Errors
/// The rule that it breaks.
pub fn parse(query: &str) -> Result<Query, QueryError> {
    if query.len() > MAX_LENGTH {
        return Err(QueryError::TooLong);
    }
    let mut parts: Vec<(String, String)> = Vec::new();
    for (part, text) in query.split('&').filter(|text| !text.is_empty()).enumerate() {
        if part == MAX_PARTS {
            return Err(QueryError::TooLong);
        }
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let decode = |text| decode(text).ok_or(QueryError::Encoding { part });
        let (name, value) = (decode(name)?, decode(value)?);
        if parts.iter().any(|(known, _)| *known == name) {
            return Err(QueryError::Twice { name: name.chars().take(40).collect() });
        }
        parts.push((name, value));
    }
    Ok(Query(parts))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit()? << 4 | digit()?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = parse("within=5m&act=AUTH.%4cOGIN+x&flag&&e=%E9%92%9F").unwrap();
        assert_eq!(query.get("within"), Some("5m"));
        assert_eq!(query.get("act"), Some("AUTH.LOGIN x"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.get("e"), Some("钟"));
        assert_eq!(query.get("none"), None);
        query.only(&["within", "act", "flag", "e"]).unwrap();
        assert!(query.only(&["within"]).unwrap_err().to_string().contains("`act` is not known here"));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, error) in [
            ("a=%4", QueryError::Encoding { part: 0 }),
            ("b&a=%zz", QueryError::Encoding { part: 1 }),
            ("a=%ff", QueryError::Encoding { part: 0 }),
            ("a=1&%61=2", QueryError::Twice { name: "a".into() }),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(parse(&"a".repeat(4097)), Err(QueryError::TooLong));
        let many: Vec<String> = (0..33).map(|n| format!("a{n}=1")).collect();
        assert_eq!(parse(&many.join("&")), Err(QueryError::TooLong));
    }
}
