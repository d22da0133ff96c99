//! Values that are written once, from the outside in: page hashes and lists of catalogues are megabytes, and stand ten
//! values deep. Put together from the inside out they would be copied at every level.

use super::write::head;

/// A value, or bytes of one, that is not yet written.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// Bytes as they stand.
    Bytes(&'a [u8]),
    /// A value of this tag with these parts inside.
    Value(u8, Vec<Part<'a>>),
}

impl Part<'_> {
    /// The bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.write(&mut out);
        out
    }

    fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Value(tag, parts) => {
                let inner = size(parts);
                let (octets, used) = head(*tag, inner);
                octets[..used].len() + inner
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Value(tag, parts) => {
                let (octets, used) = head(*tag, size(parts));
                out.extend_from_slice(&octets[..used]);
                parts.iter().for_each(|part| part.write(out));
            }
        }
    }
}

fn size(parts: &[Part<'_>]) -> usize {
    parts.iter().map(Part::size).sum()
}

#[cfg(test)]
mod tests {
    use super::super::{octets, sequence, tag, value};
    use super::*;

    #[test]
    fn parts_are_the_bytes_of_the_values_in_them() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let body = vec![7; length];
            let other = octets(b"x");
            let whole = sequence(&[&octets(&body), &value(tag::SET, &other)]);
            let parts = Part::Value(
                tag::SEQUENCE,
                vec![
                    Part::Value(tag::OCTET_STRING, vec![Part::Bytes(&body)]),
                    Part::Value(tag::SET, vec![Part::Bytes(&other)]),
                ],
            );
            assert_eq!(parts.to_vec(), whole, "{length}");
        }
    }
}
