//! PKCS #11 URIs (RFC 7512): which token, which key on it, and where its PIN stands.

use std::path::PathBuf;

use crate::KeystoreError;

/// A URI. `pin-value` is refused: whoever lists the processes of the machine would read it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uri {
    /// `token`: the token's label.
    pub token: Option<String>,
    /// `serial`: the token's serial number.
    pub serial: Option<String>,
    /// `manufacturer`: the token's.
    pub manufacturer: Option<String>,
    /// `model`: the token's.
    pub model: Option<String>,
    /// `slot-id`.
    pub slot: Option<u64>,
    /// `object`: the key's label.
    pub object: Option<String>,
    /// `id`: the key's `CKA_ID`.
    pub id: Option<Vec<u8>>,
    /// `module-path`: the library.
    pub module: Option<PathBuf>,
    /// `pin-source`: a file, as `file:/path` or a plain path.
    pub pin_source: Option<PathBuf>,
}

fn bad(why: impl Into<String>) -> KeystoreError {
    KeystoreError::Uri { why: why.into() }
}

impl Uri {
    /// Reads one.
    ///
    /// # Errors
    /// [`KeystoreError::Uri`] when it breaks the syntax of RFC 7512 §2.3, names something twice, or has a PIN in it.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| bad("it does not begin with `pkcs11:`"))?;
        // §2.3 lets a value hold less than this; a space that was not escaped does no harm.
        if rest.contains(char::is_control) {
            return Err(bad("it holds a control character; write it as `%` and two digits"));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        let mut seen = Vec::new();
        let parts = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(|| bad(format!("`{part}` has no value")))?;
            if seen.contains(&name) {
                return Err(bad(format!("`{name}` stands twice")));
            }
            seen.push(name);
            uri.set(name, &unescape(value)?)?;
        }
        Ok(uri)
    }

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), KeystoreError> {
        let text = || String::from_utf8(value.to_vec()).map_err(|_| bad(format!("`{name}` is not UTF-8")));
        match name {
            "token" => self.token = Some(text()?),
            "serial" => self.serial = Some(text()?),
            "manufacturer" => self.manufacturer = Some(text()?),
            "model" => self.model = Some(text()?),
            "slot-id" => self.slot = Some(text()?.parse().map_err(|_| bad("`slot-id` is not a number"))?),
            "object" => self.object = Some(text()?),
            "id" => self.id = Some(value.to_vec()),
            "module-path" => self.module = Some(text()?.into()),
            "pin-source" => {
                let source = text()?;
                if source.starts_with('|') {
                    return Err(bad("`pin-source` is a command; only a file is read"));
                }
                self.pin_source = Some(source.strip_prefix("file:").unwrap_or(&source).into());
            }
            "pin-value" => return Err(bad("it holds a PIN, which others can read; use `pin-source`")),
            "type" if value == b"private" || value == b"cert" || value == b"public" => {}
            // §2.3: "unknown path attributes" must not be passed over; those of vendors begin with `x-`.
            _ if name.starts_with("x-") => {}
            "library-manufacturer"
            | "library-description"
            | "library-version"
            | "slot-manufacturer"
            | "slot-description"
            | "module-name" => {
                return Err(bad(format!(
                    "`{name}` is not supported; use `module-path`, `token` and `object`"
                )));
            }
            _ => return Err(bad(format!("`{name}` is not known"))),
        }
        Ok(())
    }

    /// Token and key, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        let token = self.token.as_deref().or(self.serial.as_deref()).unwrap_or("any token");
        match (&self.object, &self.id) {
            (Some(object), _) => format!("`{object}` on {token}"),
            (None, Some(id)) => {
                format!("id {} on {token}", id.iter().map(|b| format!("{b:02x}")).collect::<String>())
            }
            (None, None) => token.to_owned(),
        }
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, KeystoreError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high << 4 | low).to_le_bytes()[0]),
            _ => return Err(bad("a `%` without two hexadecimal digits")),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7512 §3, without those that hold a PIN.
        let uri = Uri::parse(
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
             object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(uri.id.as_deref(), Some(&b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91"[..]));
        assert_eq!(uri.pin_source, Some(PathBuf::from("/etc/token_pin")));
        assert_eq!(Uri::parse("pkcs11:").unwrap(), Uri::default());
        assert_eq!(Uri::parse("pkcs11:slot-id=327").unwrap().slot, Some(327));
        // §2.3, pk11-res-avail: a label may look like the attribute that is refused.
        let uri = Uri::parse("pkcs11:token=a:pin-value=b").unwrap();
        assert_eq!(uri.token.as_deref(), Some("a:pin-value=b"));
    }

    #[test]
    fn what_is_unclear_or_secret_is_refused() {
        for wrong in [
            "token=x",
            "pkcs11:token",
            "pkcs11:token=a;token=b",
            "pkcs11:object=%4",
            "pkcs11:object=x?pin-value=1234",
            "pkcs11:object=x?pin-source=|cat",
            "pkcs11:colour=red",
            "pkcs11:slot-id=one",
            "pkcs11:token=%ff",
            "pkcs11:token=a\0b",
        ] {
            assert!(Uri::parse(wrong).is_err(), "{wrong}");
        }
    }
}
