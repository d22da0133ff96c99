//! One request as the kernel tells it: `struct told` of `bpf/http.bpf.c`.

use serde::Serialize;

use crate::record::{HEADER, Header, text, u16_at, u32_at, u64_at};

/// Where the texts begin, and how long the longest may be.
const METHOD: (usize, usize) = (HEADER + 48, 16);
const HOST: (usize, usize) = (METHOD.0 + METHOD.1, 64);
const REMOTE: (usize, usize) = (HOST.0 + HOST.1, 64);
const TRACE: (usize, usize) = (REMOTE.0 + REMOTE.1, 64);
const URI: (usize, usize) = (TRACE.0 + TRACE.1, 512);

/// Which side of the request the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// It serves it.
    Server,
    /// It sent it.
    Client,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// With a response.
    Finished,
    /// The handler took the connection over.
    Hijacked,
    /// The handler panicked: there is no response.
    Aborted,
    /// A client's request failed.
    Failed,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it ended, and whose it is.
    pub header: Header,
    /// Which side the target is.
    pub side: Side,
    /// How it ended.
    pub ending: Ending,
    /// Its method.
    pub method: String,
    /// What it asks for, as it was sent; of a client's request the path only. At most 512 bytes.
    pub uri: String,
    /// It is longer than what is here.
    pub truncated: bool,
    /// The host that it names.
    pub host: String,
    /// The peer of a server's request.
    pub remote: String,
    /// The status; 0 where there was no response.
    pub status: u16,
    /// Bytes of the response's body: of a server what was written, of a client what was announced.
    pub bytes: Option<u64>,
    /// Bytes of the request's body, as announced.
    pub request_bytes: Option<u64>,
    /// Nanoseconds between the beginning of the handler (or of the round trip) and its end.
    pub duration: u64,
    /// Version of the protocol.
    pub version: (u8, u8),
    /// Something of the target could not be read at that moment, and is missing here.
    pub partial: bool,
    /// It came over TLS.
    pub tls: bool,
    /// The header `traceparent` (W3C Trace Context), when it has its form.
    pub traceparent: Option<String>,
}

impl Request {
    /// Reads a record; `None` when it is not one.
    #[must_use]
    pub fn read(record: &[u8]) -> Option<Self> {
        let header = Header::read(record)?;
        let byte = |at: usize| record.get(HEADER + at).copied();
        let length = |at: usize| u16_at(record, HEADER + at).map(usize::from);
        let told = |(at, room): (usize, usize), length: usize| text(record, at, length.min(room));
        let count =
            |at| u64_at(record, HEADER + at).map(|value| i64::try_from(value).ok().map(i64::unsigned_abs));
        let side = if byte(28)? == 0 { Side::Server } else { Side::Client };
        let ending = match byte(29)? {
            0 => Ending::Finished,
            1 => Ending::Hijacked,
            2 => Ending::Aborted,
            3 => Ending::Failed,
            _ => return None,
        };
        let method = told(METHOD, length(34)?)?;
        Some(Self {
            header,
            side,
            ending,
            // net/http: "For client requests, an empty string means GET."
            method: if method.is_empty() && side == Side::Client { "GET".to_owned() } else { method },
            uri: told(URI, length(40)?)?,
            truncated: length(40)? >= URI.1,
            host: told(HOST, length(36)?)?,
            remote: told(REMOTE, length(38)?)?,
            status: u16::try_from(u32_at(record, HEADER + 24)?).unwrap_or(0),
            bytes: count(8)?,
            request_bytes: count(16)?,
            duration: header.time.saturating_sub(u64_at(record, HEADER)?),
            version: (byte(30)?, byte(31)?),
            partial: byte(42)? != 0,
            tls: byte(32)? != 0,
            traceparent: told(TRACE, byte(33)?.into()).filter(|trace| is_traceparent(trace)),
        })
    }

    /// The part of the URI before a query.
    #[must_use]
    pub fn path(&self) -> &str {
        let uri = self.uri.split_once('?').map_or(self.uri.as_str(), |(path, _)| path);
        // RFC 9112, section 3.2.2: to a proxy the whole URI is sent.
        match uri.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                rest.find('/').map_or("/", |at| &rest[at..])
            }
            _ => uri,
        }
    }

    /// The query, without the question mark. It may hold secrets.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.uri.split_once('?').map(|(_, query)| query)
    }
}

/// W3C Trace Context, section 3.2.2: version, trace, parent and flags in lower-case hexadecimal.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hexadecimal = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths.starts_with(&[2, 32, 16, 2]) && parts.iter().take(4).all(|part| hexadecimal(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_stands_before_the_query() {
        let mut record = vec![0u8; 288];
        let of = |record: &mut Vec<u8>, uri: &str| {
            record.truncate(288);
            record[HEADER + 40..HEADER + 42]
                .copy_from_slice(&u16::try_from(uri.len()).unwrap().to_ne_bytes());
            record.extend(uri.as_bytes());
            let request = Request::read(record).unwrap();
            (request.path().to_owned(), request.query().map(str::to_owned))
        };
        assert_eq!(of(&mut record, "/a/b?c=d"), ("/a/b".to_owned(), Some("c=d".to_owned())));
        assert_eq!(of(&mut record, "/a?u=http://x/y").0, "/a");
        assert_eq!(of(&mut record, "http://host/p?q").0, "/p");
        assert_eq!(of(&mut record, "http://host").0, "/");
        assert_eq!(of(&mut record, "*").0, "*");
    }

    #[test]
    fn a_trace_has_its_form() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent("00-4bf9"));
        assert!(!is_traceparent(""));
    }
}
