//! pax extended headers (POSIX.1-2017 pax, "pax Extended Header"): records of `length key=value\n`.

/// The records that a seal uses. `None` is "not stated"; a global header's value stands until a later one.
#[derive(Clone, Default, Debug)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) sparse: Option<Sparse>,
}

/// What GNU tar says of a sparse file (GNU tar manual, "PAX Format, Version 0.1" and "1.0").
#[derive(Clone, Default, Debug)]
pub(super) struct Sparse {
    /// The name, instead of one that other readers unpack the map under.
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Of version 0.1; in version 1.0 it stands before the content.
    pub(super) map: Option<Vec<u8>>,
}

impl Pax {
    /// Reads records over what is already stated.
    pub(super) fn read(&mut self, mut body: &[u8]) -> Result<(), &'static str> {
        while !body.is_empty() {
            let (record, rest) = split(body).ok_or("a pax header is malformed")?;
            let equals = record.iter().position(|b| *b == b'=').ok_or("a pax header is malformed")?;
            self.take(&record[..equals], &record[equals + 1..])?;
            body = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        // An empty value takes back what was stated before.
        let stated = (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = stated,
            b"linkpath" => self.link = stated,
            b"size" => {
                self.size = stated.map(|v| decimal(&v).ok_or("a pax size is not a number")).transpose()?
            }
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.take_sparse(key, value)?;
                }
            }
        }
        Ok(())
    }
}

impl Pax {
    fn take_sparse(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let sparse = self.sparse.get_or_insert_default();
        match key {
            b"name" => sparse.name = Some(value.to_vec()),
            b"map" => sparse.map = Some(value.to_vec()),
            b"realsize" | b"size" => {
                sparse.size = Some(decimal(value).ok_or("a sparse size is not a number")?)
            }
            b"major" if decimal(value).is_none_or(|major| major > 1) => {
                return Err("it holds a sparse file of a later version");
            }
            b"major" | b"minor" | b"numblocks" => {}
            // Version 0.0: a key for each piece, over and over; GNU tar has not written it since 2006.
            _ => return Err("it holds a sparse file of version 0.0"),
        }
        Ok(())
    }
}

/// One record without its length and its newline, and what follows.
fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = body.iter().position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&body[..space])?).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    Some((record.get(space + 1..)?.strip_suffix(b"\n")?, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::Pax;

    #[test]
    fn records_are_read_by_their_length() {
        let mut pax = Pax::default();
        pax.read(b"12 path=a=b\n17 size=00000042\n8 x=\x00\ny\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a=b"[..]));
        assert_eq!(pax.size, Some(42));
        pax.read(b"8 path=\n").unwrap();
        assert_eq!(pax.path, None);
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in
            [&b"9 path=a"[..], b"99 path=a\n", b"path=a\n", b"x path=a\n", b"5 abc\n", b"12 size=-0001\n"]
        {
            assert!(Pax::default().read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(Pax::default().read(b"22 GNU.sparse.major=2\n").is_err());
        assert!(Pax::default().read(b"23 GNU.sparse.offset=1\n").is_err());
    }
}
