//! Why two builds of one file differ: times, paths, build ids, and what the go command recorded.
//!
//! A guess with its grounds: each cause shows the two texts or values that differ. What no rule explains is `content`.

use std::collections::{BTreeMap, HashSet};

use gobinary::{Binary, GoInfo, Module};
use serde::Serialize;

/// Causes of one kind that are listed for a file.
const MOST: usize = 5;
/// Texts shorter than this are too often chance.
const SHORTEST: usize = 6;
/// How much of a text is shown.
const SHOWN: usize = 160;

/// Why something differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Toolchain,
    Module,
    Setting,
    BuildId,
    Timestamp,
    Path,
    Content,
}

/// A cause with its grounds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Cause {
    kind: Kind,
    what: String,
    first: String,
    second: String,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Toolchain => "toolchain",
            Kind::Module => "module",
            Kind::Setting => "setting",
            Kind::BuildId => "build id",
            Kind::Timestamp => "timestamp",
            Kind::Path => "path",
            Kind::Content => "content",
        };
        write!(f, "{kind}: {}: `{}` and `{}`", self.what, self.first, self.second)
    }
}

fn cause(kind: Kind, what: impl Into<String>, first: &str, second: &str) -> Cause {
    let shown = |text: &str| seal::escape(text.chars().take(SHOWN).collect::<String>().as_bytes());
    Cause { kind, what: what.into(), first: shown(first), second: shown(second) }
}

/// Why two contents differ; empty when they do not.
pub(super) fn causes(first: &[u8], second: &[u8]) -> Vec<Cause> {
    if first == second {
        return Vec::new();
    }
    let mut out = go(first, second);
    out.extend(headers(first, second));
    out.extend(texts(first, second));
    if out.is_empty() {
        let differing = first.iter().zip(second).filter(|(a, b)| a != b).count();
        let at = first.iter().zip(second).position(|(a, b)| a != b).unwrap_or(first.len().min(second.len()));
        let what = format!("{differing} bytes differ, the first at {at:#x}");
        out.push(cause(
            Kind::Content,
            what,
            &format!("{} bytes", first.len()),
            &format!("{} bytes", second.len()),
        ));
    }
    out.sort_by_key(|cause| cause.kind);
    out
}

/// What the go command says of itself in both.
fn go(first: &[u8], second: &[u8]) -> Vec<Cause> {
    let (Ok(a), Ok(b)) = (Binary::parse(first), Binary::parse(second)) else { return Vec::new() };
    let (a, b) = (a.inspect(), b.inspect());
    let mut out = Vec::new();
    let mut differs = |kind, what: &str, a: Option<&str>, b: Option<&str>| {
        if a != b {
            out.push(cause(kind, what, a.unwrap_or("absent"), b.unwrap_or("absent")));
        }
    };
    differs(Kind::BuildId, "go", a.build_ids.go.as_deref(), b.build_ids.go.as_deref());
    differs(Kind::BuildId, "gnu", a.build_ids.gnu.as_deref(), b.build_ids.gnu.as_deref());
    let (Some(a), Some(b)) = (a.go, b.go) else { return out };
    differs(Kind::Toolchain, "go", Some(&a.version), Some(&b.version));
    let settings: HashSet<&String> = a.settings.keys().chain(b.settings.keys()).collect();
    for name in settings {
        let kind = if name == "vcs.time" { Kind::Timestamp } else { Kind::Setting };
        differs(
            kind,
            name,
            a.settings.get(name).map(String::as_str),
            b.settings.get(name).map(String::as_str),
        );
    }
    let (a, b) = (modules(&a), modules(&b));
    for path in a.keys().chain(b.keys()).collect::<HashSet<_>>() {
        differs(Kind::Module, path, a.get(path).map(String::as_str), b.get(path).map(String::as_str));
    }
    out
}

fn modules(info: &GoInfo) -> BTreeMap<String, String> {
    let text = |module: &Module| {
        let replaced = module.replace.as_ref().map(|by| format!(" => {} {} {}", by.path, by.version, by.sum));
        format!("{} {}{}", module.version, module.sum, replaced.unwrap_or_default()).trim().to_owned()
    };
    info.modules.iter().chain(&info.main).map(|module| (module.path.clone(), text(module))).collect()
}

/// Times that formats write at known places.
fn headers(first: &[u8], second: &[u8]) -> Option<Cause> {
    let word = |bytes: &[u8], at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    };
    let time = |seconds: u32| {
        jiff::Timestamp::from_second(seconds.into()).map_or_else(|_| seconds.to_string(), |t| t.to_string())
    };
    let both = |what: &str, a: Option<u32>, b: Option<u32>| {
        let (a, b) = (a?, b?);
        (a != b).then(|| cause(Kind::Timestamp, what, &time(a), &time(b)))
    };
    // RFC 1952 §2.3: MTIME.
    if first.starts_with(&[0x1f, 0x8b]) && second.starts_with(&[0x1f, 0x8b]) {
        return both("in the header of gzip", word(first, 4), word(second, 4));
    }
    // PE Format, "COFF File Header": TimeDateStamp behind the signature and four bytes.
    let coff = |bytes: &[u8]| -> Option<u32> {
        let at = usize::try_from(bytes.starts_with(b"MZ").then(|| word(bytes, 0x3c))??).ok()?;
        (bytes.get(at..at.checked_add(4)?)? == b"PE\0\0").then(|| word(bytes, at + 8))?
    };
    both("in the header of the program", coff(first), coff(second))
}

/// Printable texts that stand in one and not in the other, paired in their order by what they look like.
fn texts(first: &[u8], second: &[u8]) -> Vec<Cause> {
    let (a, b) = (strings(first), strings(second));
    let only = |of: &[&[u8]], not: &[&[u8]]| -> Vec<String> {
        let known: HashSet<&[u8]> = not.iter().copied().collect();
        let fresh = of.iter().filter(|text| !known.contains(**text));
        fresh.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    };
    let (a, b) = (only(&a, &b), only(&b, &a));
    let mut out = Vec::new();
    for (kind, what, is) in [
        (Kind::Timestamp, "a text in it", is_time as fn(&str) -> bool),
        (Kind::Path, "a text in it", is_path),
    ] {
        let of = |all: &[String]| all.iter().filter(|text| is(text)).take(MOST).cloned().collect::<Vec<_>>();
        let (a, b) = (of(&a), of(&b));
        for at in 0..a.len().max(b.len()) {
            let text = |side: &[String]| side.get(at).cloned().unwrap_or_else(|| "absent".into());
            out.push(cause(kind, what, &text(&a), &text(&b)));
        }
    }
    out
}

/// Runs of printable ASCII.
fn strings(bytes: &[u8]) -> Vec<&[u8]> {
    bytes
        .split(|byte| !(b' '..=b'~').contains(byte))
        .filter(|run| (SHORTEST..=4096).contains(&run.len()))
        .collect()
}

/// A date as ISO 8601 has it, or a time of day with seconds.
fn is_time(text: &str) -> bool {
    let shaped = |shape: &str| {
        text.as_bytes().windows(shape.len()).any(|window| {
            window.iter().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                other => *byte == other,
            })
        })
    };
    shaped("0000-00-00") || shaped("00:00:00") || shaped("0000/00/00")
}

/// Two components of a rooted path.
fn is_path(text: &str) -> bool {
    let rooted =
        |at: usize| text[at..].split('/').skip(1).filter(|part| !part.is_empty()).take(2).count() == 2;
    let drive =
        text.as_bytes().windows(3).any(|w| w[0].is_ascii_alphabetic() && w[1] == b':' && w[2] == b'\\');
    drive || text.find('/').is_some_and(rooted) && !is_time(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(first: &[u8], second: &[u8]) -> Vec<Kind> {
        causes(first, second).into_iter().map(|cause| cause.kind).collect()
    }

    #[test]
    fn times_and_paths_are_told_apart_and_the_rest_is_content() {
        assert!(kinds(b"same", b"same").is_empty());
        let one = b"\0built 2026-11-20T08:30:00Z\0src/home/a/project/main.go\0";
        let two = b"\0built 2026-11-21T09:00:00Z\0src/root/b/project/main.go\0";
        assert_eq!(kinds(one, two), [Kind::Timestamp, Kind::Path]);
        assert_eq!(kinds(b"\x01\x02", b"\x01\x03\x04"), [Kind::Content]);
        let gzip = |time: u8| [0x1f, 0x8b, 8, 0, time, 0, 0, 0, 0, 3];
        let found = causes(&gzip(1), &gzip(2));
        assert_eq!(
            found[0].to_string(),
            "timestamp: in the header of gzip: `1970-01-01T00:00:01Z` and `1970-01-01T00:00:02Z`"
        );
    }
}
