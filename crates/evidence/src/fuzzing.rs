//! Oracles over outside bytes, shared by the fuzz targets and the tests that replay their corpora.

use seal::{Comparison, Container, Format, Observation};

use crate::collector::{Collector, Found};
use crate::file::observe_archive;
use crate::options::{Form, Limits, Options};

/// Small enough that a bomb ends at once.
const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 1000, ratio: 200 };

/// A ZIP: see [`archive`].
pub fn zip(data: &[u8]) {
    archive(data, Format::Zip);
}

/// A 7z: see [`archive`]. With the highest bit of the first byte, both headers get the CRCs that they should have.
pub fn sevenz(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let mut bytes = rest.to_vec();
    if *first & 0x80 != 0 {
        with_crcs(&mut bytes);
    }
    archive(&bytes, Format::SevenZip);
}

/// The CRC of the header that the first header points to, then that of the first.
fn with_crcs(bytes: &mut [u8]) {
    let Some(start) = bytes.first_chunk::<32>().copied() else { return };
    let number =
        |at: usize| start[at..at + 8].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let from = usize::try_from(number(12).saturating_add(32)).unwrap_or(usize::MAX);
    let to = from.saturating_add(usize::try_from(number(20)).unwrap_or(usize::MAX));
    if let Some(header) = bytes.get(from..to) {
        let crc = crc32fast::hash(header);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes[12..32]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
}

/// A tar, plain or compressed as the first byte says: see [`archive`]. With the highest bit of that byte, headers get
/// the checksums that they should have: a fuzzer does not find them by itself.
pub fn tar(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let formats = [Format::Tar, Format::TarGz, Format::TarXz, Format::TarZst];
    let format = formats[usize::from(first % 4)];
    if *first & 0x80 != 0 { archive(&with_checksums(rest), format) } else { archive(rest, format) }
}

/// What bytes are taken for: whatever it is, they are read as that without a broken promise, see [`archive`].
pub fn detect(data: &[u8]) {
    let found = crate::detect::format(&data).expect("memory is always read");
    if let Some(format) = found {
        archive(data, format);
    }
}

/// Every block that has the magic of a header.
fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    for block in out.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    out
}

/// Whatever the bytes are: what a strict reader takes, a tolerant one reads the same and without a fault; the seal
/// of it holds against it; and its digests cover every byte.
fn archive(data: &[u8], format: Format) {
    let strict = Options { limits: LIMITS, form: Form::Archive(format), ..Options::default() };
    let tolerant = Options { tolerant: true, ..strict.clone() };
    let lenient = observe(data, format, &tolerant);
    let Some(found) = observe(data, format, &strict) else { return };
    assert_eq!(found.digest, Some(gm::Dual::digest(data)), "a byte is not covered");
    let lenient = lenient.expect("a tolerant reader takes what a strict one takes");
    assert!(lenient.faults.is_empty() && lenient.broken.is_none(), "a tolerant reader finds more faults");
    let evidence = crate::Evidence {
        name: "a".into(),
        exclude: seal::Exclude::default(),
        observation: found,
        images: Vec::new(),
        nested: false,
        closed: Vec::new(),
    };
    let Ok(seal) = evidence.into_seal() else { return };
    let comparison = Comparison::of(&seal, &lenient);
    assert!(comparison.holds(), "an archive differs from its own seal: {comparison:?}");
}

fn observe(data: &[u8], format: Format, options: &Options) -> Option<Observation> {
    let Found { observation, .. } =
        observe_archive(&data, format, "fuzz", options, &|_, _| {}, Collector::new(options)).ok()?;
    let size = observation.container.as_ref().map(|c: &Container| c.size);
    assert_eq!(size, Some(data.len() as u64), "a byte was not read");
    Some(observation)
}

/// An answer of a checksum database, and a go.sum.
pub fn modules(data: &[u8]) {
    crate::modules::fuzz(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(sums) = crate::modules::parse(text)
    {
        assert!(
            sums.iter().all(|s| !s.module.split('/').any(|part| part == "..") && !s.version.contains('/')),
            "a path leads elsewhere"
        );
    }
}
