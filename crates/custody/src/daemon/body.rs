//! A request's body, whole, within bounds of size and time, unpacked if it came packed.

use std::io::Read as _;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::{Request, StatusCode};

use super::answer::Problem;

/// The packings that are understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    None,
    Gzip,
}

/// Reads the body as it was sent. One that trickles in holds a place that others wait for.
pub(crate) async fn read(
    request: Request<Incoming>,
    most: usize,
    patience: Duration,
) -> Result<Bytes, Problem> {
    let mut body = request.into_body();
    if body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    let whole = async {
        let mut whole = Vec::with_capacity(usize::try_from(body.size_hint().lower()).unwrap_or(0));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad("the body was cut off"))?;
            if let Ok(data) = frame.into_data() {
                if whole.len() + data.len() > most {
                    return Err(too_large(most));
                }
                whole.extend_from_slice(&data);
            }
        }
        Ok(Bytes::from(whole))
    };
    tokio::time::timeout(patience, whole).await.unwrap_or_else(|_| {
        let detail = format!("the body took longer than {} seconds", patience.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
    })
}

fn too_large(most: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {most} bytes"))
}

/// How the body is packed (RFC 9110 §8.4).
pub(crate) fn packing(headers: &HeaderMap) -> Result<Packing, Problem> {
    let mut given = headers.get_all(CONTENT_ENCODING).iter();
    let first = given.next().map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match (first.as_deref(), given.next()) {
        (None | Some("identity" | ""), None) => Ok(Packing::None),
        (Some("gzip" | "x-gzip"), None) => Ok(Packing::Gzip),
        _ => {
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body is packed with gzip or not at all"))
        }
    }
}

/// The media type without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Unpacks. A bomb is put down at the same bound that an unpacked body has.
pub(crate) fn unpack(body: Bytes, packing: Packing, most: usize) -> Result<Bytes, Problem> {
    if packing == Packing::None {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let mut unpacking = flate2::read::MultiGzDecoder::new(&body[..]).take(most as u64 + 1);
    unpacking.read_to_end(&mut plain).map_err(|_| Problem::bad("the body is not gzip"))?;
    if plain.len() > most { Err(too_large(most)) } else { Ok(plain.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn packed(plain: &[u8]) -> Bytes {
        let mut packing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packing.write_all(plain).unwrap();
        packing.finish().unwrap().into()
    }

    #[test]
    fn what_was_packed_is_unpacked_up_to_a_bound() {
        assert_eq!(unpack(packed(b"{}"), Packing::Gzip, 2).unwrap(), "{}");
        let bomb = packed(&vec![b' '; 1 << 24]);
        assert!(bomb.len() < 1 << 15);
        assert_eq!(unpack(bomb, Packing::Gzip, 1 << 20).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(unpack(packed(b"{}").slice(..12), Packing::Gzip, 100).is_err(), "cut off");
        assert!(unpack(Bytes::from_static(b"{}"), Packing::Gzip, 100).is_err());
    }
}
