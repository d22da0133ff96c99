//! IPv4 (dotted quads) and IPv6 (RFC 4291 §2.2) addresses in text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Hit, Kind, before, parts};

pub(super) fn find(text: &str, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|byte| is_part(*byte)) {
        let start = at + offset;
        let end = start + bytes[start..].iter().take_while(|byte| is_part(**byte)).count();
        at = end;
        if !parts(before(bytes, start)) || !parts(bytes.get(end)) {
            // `1.2.3.4` in `port1.2.3.4` or `1.2.3.4x` is none; but letters of a run are hexadecimal digits only by chance.
            quads(text, start, end, hits);
            continue;
        }
        match long(&text[start..end]) {
            Some((from, to)) => hits.push(Hit { kind: Kind::Ip, start: start + from, end: start + to }),
            None => quads(text, start, end, hits),
        }
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b':' || byte == b'.'
}

/// An IPv6 address that the run is, but for dots and one colon around it.
fn long(run: &str) -> Option<(usize, usize)> {
    if run.bytes().filter(|byte| *byte == b':').count() < 2 {
        return None;
    }
    let from = run.len() - run.trim_start_matches('.').len();
    let to = run.trim_end_matches('.').len().max(from);
    let shorter = |range: (usize, usize)| (range.0, range.1.saturating_sub(1).max(range.0));
    let colon = run[from..to].ends_with(':');
    let tried = [Some((from, to)), colon.then(|| shorter((from, to)))];
    tried.into_iter().flatten().find(|(from, to)| run[*from..*to].parse::<Ipv6Addr>().is_ok())
}

/// Dotted quads in a run, each a maximal piece of digits and dots without the dots around it.
fn quads(text: &str, start: usize, end: usize, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let is_quad = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let mut at = start;
    while let Some(offset) = bytes[at..end].iter().position(is_quad) {
        let mut from = at + offset;
        let mut to = from + bytes[from..end].iter().take_while(|byte| is_quad(byte)).count();
        at = to;
        while from < to && bytes[from] == b'.' {
            from += 1;
        }
        while from < to && bytes[to - 1] == b'.' {
            to -= 1;
        }
        let apart = parts(before(bytes, from)) && parts(bytes.get(to));
        if apart && text[from..to].parse::<Ipv4Addr>().is_ok() {
            hits.push(Hit { kind: Kind::Ip, start: from, end: to });
        }
    }
}

/// The network that an address is in: 24 bits of IPv4, 48 of IPv6, the host's bits zero.
pub(crate) fn truncated(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => truncated(v4.into()),
            None => {
                let [a, b, c, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
            }
        },
    }
}
