//! What in a program's own bytes holds it up: fields that a submission is refused for, and what learned detectors have
//! been seen to take Go programs for malware by. Each finding has a word, a reason and a mend.

use std::io::{Read, Seek, SeekFrom};

use authenticode::Image;
use authenticode::resource::{MANIFEST, Resources, VERSION, place};
use authenticode::verify::Report;
use serde::Serialize;

use crate::failure::Failure;

/// 2010-01-01T00:00:00Z: an earlier time in the header is refused.
const EARLIEST: u32 = 1_262_304_000;
/// `E_INVALIDARG` and `HRESULT_FROM_WIN32(ERROR_INVALID_DATA)`: what a submission with a wrong field is answered with.
const INVALID_ARGUMENT: &str = "0x80070057";
const INVALID_DATA: &str = "0x8007000D";
/// Bits a byte: packed and encrypted data has nearly 8, code of Go about 6, its tables less.
const HIGH_ENTROPY: f64 = 7.2;
/// Below this many bytes the measure says nothing.
const ENOUGH: u64 = 4096;
/// A larger program is not searched for its build information: it would have to be in memory.
const MAX_PROGRAM: u64 = 1 << 30;
/// Names that linkers of Go, of Microsoft and of GNU give. A name that begins with a slash stands in the symbol table,
/// as those of debug sections do.
const USUAL: &[&str] = &[
    ".text", ".rdata", ".data", ".bss", ".idata", ".edata", ".pdata", ".xdata", ".reloc", ".rsrc", ".tls",
    ".symtab", ".buildid", ".CRT", ".didat", ".00cfg", ".gfids", ".giats", ".fptable", ".eh_fram", ".debug",
    ".init", "INIT", "PAGE",
];

/// How grave a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "lowercase")]
pub(super) enum Weight {
    /// A submission is refused, or a download is blocked, because of it.
    Refused,
    /// It was seen to raise suspicion.
    Suspicious,
    /// Worth knowing.
    Remark,
}

/// The names and the words are part of the interface.
#[derive(Clone, Serialize, Debug)]
pub(super) struct Found {
    pub(super) word: &'static str,
    pub(super) weight: Weight,
    pub(super) what: String,
    pub(super) mend: &'static str,
    /// The error code that it is answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'static str>,
}

fn found(word: &'static str, weight: Weight, what: impl Into<String>, mend: &'static str) -> Found {
    Found { word, weight, what: what.into(), mend, code: None }
}

fn refused(word: &'static str, code: &'static str, what: impl Into<String>, mend: &'static str) -> Found {
    Found { code: Some(code), ..found(word, Weight::Refused, what, mend) }
}

/// A section with its entropy, for those who want to see the numbers.
#[derive(Clone, Serialize, Debug)]
pub(super) struct Measured {
    pub(super) section: String,
    pub(super) bytes: u64,
    pub(super) entropy: f64,
}

/// Everything about a program's bytes. `now` is in seconds since 1970.
pub(super) fn examine(
    source: &mut (impl Read + Seek),
    report: &Report,
    now: i64,
) -> Result<(Vec<Found>, Vec<Measured>), authenticode::AuthenticodeError> {
    let image = &report.image;
    let mut out = Vec::new();
    headers(report, now, &mut out);
    signature(report, &mut out);
    resources(source, image, &mut out)?;
    let measured = measure(source, image, &mut out);
    packed(source, image, &mut out);
    Ok((out, measured))
}

fn headers(report: &Report, now: i64, out: &mut Vec<Found>) {
    const TIME: &str = "set a reproducible time before signing: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) custody pe resource set FILE";
    let time = report.image.time_date_stamp;
    if time == 0 {
        out.push(refused(
            "time-zero",
            INVALID_ARGUMENT,
            "the header has no time: Go's linker writes none",
            TIME,
        ));
    } else if time < EARLIEST {
        out.push(refused("time-early", INVALID_ARGUMENT, "the time in the header is before 2010", TIME));
    } else if i64::from(time) > now + 86_400 {
        out.push(found("time-future", Weight::Suspicious, "the time in the header lies in the future", TIME));
    }
    if report.image.checksum != report.checksum {
        let what = format!(
            "the checksum in the header is {:#010x}, that of the file {:#010x}",
            report.image.checksum, report.checksum
        );
        out.push(refused(
            "checksum",
            INVALID_DATA,
            what,
            "`custody pe sign` and `custody pe resource set` write the right one",
        ));
    }
}

fn signature(report: &Report, out: &mut Vec<Found>) {
    if report.signatures.is_empty() {
        out.push(found("unsigned", Weight::Refused, "nobody has signed it", "sign it: custody pe sign FILE"));
        return;
    }
    if !report.holds() {
        let worst = report.all_findings().find(|f| f.rule.kind() != authenticode::verify::Kind::Remark);
        let why = worst.map(ToString::to_string).unwrap_or_default();
        out.push(found(
            "signature",
            Weight::Refused,
            format!("its signature does not hold: {why}"),
            "see every rule with `custody pe verify FILE --explain`; name the authority with `--ca`",
        ));
    }
    if !report.signatures.iter().any(|signature| signature.stamps.iter().any(|stamp| stamp.counts)) {
        out.push(found(
            "undated",
            Weight::Suspicious,
            "no timestamp that counts: its signature ends with the certificate",
            "date it: custody pe timestamp FILE --tsa URL",
        ));
    }
}

fn resources(
    source: &mut (impl Read + Seek),
    image: &Image,
    out: &mut Vec<Found>,
) -> Result<(), authenticode::AuthenticodeError> {
    let existing = place::existing(source, image)?;
    let resources = match &existing {
        Some((rva, section)) => Resources::read(section, *rva)?,
        None => Resources::default(),
    };
    if resources.of_kind(&VERSION).next().is_none() {
        out.push(found(
            "no-version-resource",
            Weight::Suspicious,
            "it has no version information: Go leaves it out",
            "before signing: custody pe resource set FILE --string CompanyName=NAME --file-version N",
        ));
    }
    if resources.of_kind(&MANIFEST).next().is_none() {
        out.push(found(
            "no-manifest",
            Weight::Suspicious,
            "it has no manifest: Windows guesses what rights it needs",
            "before signing: custody pe resource set FILE --default-manifest",
        ));
    }
    Ok(())
}

fn measure(source: &mut (impl Read + Seek), image: &Image, out: &mut Vec<Found>) -> Vec<Measured> {
    let mut measured = Vec::new();
    for section in &image.sections {
        let usual = USUAL.contains(&section.name.as_str())
            || section.name.starts_with('/')
            || section.name.is_empty();
        if !usual && !section.name.starts_with(".zdebug") && !section.name.starts_with(".debug") {
            let what = format!("a section is called `{}`, which no usual linker does", section.name);
            out.push(found(
                "section-name",
                Weight::Suspicious,
                what,
                "link it with the Go toolchain's own linker",
            ));
        }
        // IMAGE_SCN_MEM_WRITE and IMAGE_SCN_MEM_EXECUTE: what unpacks itself needs both.
        if section.characteristics & 0xa000_0000 == 0xa000_0000 {
            let what = format!("section `{}` can be written and executed", section.name);
            out.push(found(
                "writable-code",
                Weight::Suspicious,
                what,
                "ship it as the linker wrote it, unpacked",
            ));
        }
        let range = section.file_range().start..section.file_range().end.min(image.content_end());
        let Ok((bytes, entropy)) = entropy(source, range) else { continue };
        if bytes >= ENOUGH && entropy > HIGH_ENTROPY {
            // Go compresses debug data unless told not to; nothing of it is loaded.
            let debug = section.name.starts_with('/') || section.name.contains("debug");
            let (weight, mend) = match debug {
                true => (
                    Weight::Remark,
                    "leave debug data out with `-ldflags=-s -w`, or uncompressed with `-compressdwarf=false`",
                ),
                false => (
                    Weight::Suspicious,
                    "embed compressed data as a file beside the program, and ship it unpacked",
                ),
            };
            let what = format!("section `{}` has an entropy of {entropy:.2} bits a byte", section.name);
            out.push(found("high-entropy", weight, what, mend));
        }
        measured.push(Measured {
            section: section.name.clone(),
            bytes,
            entropy: (entropy * 100.0).round() / 100.0,
        });
    }
    measured
}

/// Shannon's entropy of a part of the file, in bits a byte.
fn entropy(source: &mut (impl Read + Seek), range: std::ops::Range<u64>) -> std::io::Result<(u64, f64)> {
    source.seek(SeekFrom::Start(range.start))?;
    let mut counts = [0u64; 256];
    let mut part = source.by_ref().take(range.end.saturating_sub(range.start));
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match part.read(&mut buffer)? {
            0 => break,
            count => buffer[..count].iter().for_each(|byte| counts[usize::from(*byte)] += 1),
        }
    }
    let total: u64 = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "files are below 2^32 bytes")]
    let share = |count: u64| count as f64 / total as f64;
    let bits =
        counts.iter().filter(|count| **count != 0).map(|count| -share(*count) * share(*count).log2()).sum();
    Ok((total, bits))
}

/// UPX leaves its mark in the names of the sections and in the first page.
fn packed(source: &mut (impl Read + Seek), image: &Image, out: &mut Vec<Found>) {
    let named = image.sections.iter().any(|section| section.name.starts_with("UPX"));
    let mut head = Vec::new();
    let read =
        source.seek(SeekFrom::Start(0)).and_then(|_| source.by_ref().take(4096).read_to_end(&mut head));
    let marked = read.is_ok() && head.windows(4).any(|window| window == b"UPX!");
    if named || marked {
        out.push(found(
            "upx",
            Weight::Refused,
            "it is packed with UPX, as much malware is",
            "ship what the linker wrote; `upx -d` gives it back. Compress the download instead",
        ));
    }
}

/// What Go's build information says, and that it says nothing.
pub(super) fn go(
    source: &mut (impl Read + Seek),
    out: &mut Vec<Found>,
) -> Result<Option<gobinary::GoInfo>, Failure> {
    let mut bytes = Vec::new();
    source
        .seek(SeekFrom::Start(0))
        .and_then(|_| source.by_ref().take(MAX_PROGRAM).read_to_end(&mut bytes))
        .map_err(|e| Failure::environment(anyhow::Error::from(e).context("cannot read the program")))?;
    let Ok(binary) = gobinary::Binary::parse(&bytes) else { return Ok(None) };
    let Some(info) = binary.build_info() else {
        out.push(found(
            "no-build-info",
            Weight::Suspicious,
            "it is a Go program without build information, as obfuscators leave it",
            "build it with `go build`, without an obfuscator and with modules",
        ));
        return Ok(None);
    };
    if info.settings.get("vcs.modified").is_some_and(|modified| modified == "true") {
        out.push(found(
            "modified-source",
            Weight::Remark,
            "it was built from a working copy with changes that nobody can look up",
            "build it from a commit",
        ));
    }
    Ok(Some(info.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn entropy_is_that_of_the_definition() {
        let of = |bytes: &[u8]| entropy(&mut Cursor::new(bytes), 0..bytes.len() as u64).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(of(&all), (256, 8.0));
        assert_eq!(of(&[7; 100]), (100, 0.0));
        assert_eq!(of(&[0, 1, 0, 1]), (4, 1.0));
        assert_eq!(of(&[]), (0, 0.0));
    }
}
