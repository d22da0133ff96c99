//! Memory does not grow with the image: what is allocated at a time while a large program is signed and verified is
//! counted, by an allocator of this test alone.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use authenticode::{sign, verify};
use pkix::Certificate;
use signing::{Algorithm, KeyId, Signer, SigningError};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is the system's allocator's; the counters beside it allocate nothing.
#[expect(unsafe_code, reason = "an allocator that counts")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `at` came from `alloc` above, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The most bytes that were allocated at a time, beyond those before.
fn peak<T>(act: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let value = act();
    (PEAK.load(Ordering::Relaxed) - before, value)
}

/// A file of headers, zeros and an end, of which only headers and end are kept. Zeros may be written where zeros are.
struct Sparse {
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Where the tail begins.
    size: u64,
    at: u64,
}

impl Read for Sparse {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let head = &self.head[usize::try_from(self.at).unwrap().min(self.head.len())..];
        let kept = if self.at >= self.size {
            &self.tail[usize::try_from(self.at - self.size).unwrap().min(self.tail.len())..]
        } else {
            head
        };
        let count = match kept.is_empty() && self.at < self.size {
            true => usize::try_from(self.size - self.at).unwrap().min(out.len()),
            false => kept.len().min(out.len()),
        };
        match kept.is_empty() {
            true => out[..count].fill(0),
            false => out[..count].copy_from_slice(&kept[..count]),
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.at < self.head.len() as u64 {
            let at = usize::try_from(self.at).unwrap();
            let count = bytes.len().min(self.head.len() - at);
            self.head[at..at + count].copy_from_slice(&bytes[..count]);
            self.at += count as u64;
            return Ok(count);
        }
        if self.at >= self.size {
            assert_eq!(self.at, self.size + self.tail.len() as u64, "the end is written once");
            self.tail.extend(bytes);
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(0) => self.size + self.tail.len() as u64,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.at)
    }
}

/// PE32+ with one section to the end of the file.
fn program(size: u64) -> Sparse {
    let mut head = vec![0; 0x1000];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x80]);
    put(0x80, b"PE\0\0\x64\x86\x01");
    put(0x94, &240u16.to_le_bytes());
    put(0x98, &0x20bu16.to_le_bytes());
    let raw = u32::try_from(size).unwrap() - 0x1000;
    for (at, field) in [(32, 0x1000), (36, 0x200), (60, 0x1000), (108, 16u32)] {
        put(0x98 + at, &field.to_le_bytes());
    }
    for (at, field) in [(8, raw), (12, 0x1000), (16, raw), (20, 0x1000)] {
        put(0x188 + at, &field.to_le_bytes());
    }
    Sparse { head, tail: Vec::new(), size, at: 0 }
}

/// Says that it has the certificate's key; its signatures hold before nobody.
struct Pretender(Vec<u8>);

impl Signer for Pretender {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EcdsaP256
    }

    fn key_id(&self) -> KeyId {
        KeyId::of_spki(&self.0)
    }

    fn public_key_der(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SigningError> {
        Ok(vec![1; 64])
    }
}

fn signed(size: u64) -> (usize, Sparse) {
    let seeds = fuzz_replay::seeds("pkix_certificate").into_iter();
    let mut certificates = seeds.filter_map(|der| Certificate::from_der(&der).ok());
    let certificate = certificates.find(|one| one.subject.to_string().contains("code")).unwrap();
    let signer = Pretender(certificate.key.spki.clone());
    let credential = sign::Credential { signer: &signer, certificate: &certificate, chain: &[] };
    let (mut source, mut copy) = (program(size), program(size));
    let (peak, ()) = peak(|| {
        let options = sign::Options { page_hashes: true, ..sign::Options::default() };
        let prepared = sign::Prepared::copy(&mut source, &mut copy, Algorithm::EcdsaP256, options).unwrap();
        let (pkcs7, _) = prepared.signature(&credential).unwrap().into_parts();
        prepared.finish(&mut copy, &pkcs7).unwrap();
    });
    (peak, copy)
}

/// 36 bytes for each page of 4 KiB are the signature; all else is one buffer, and the signature three times.
#[test]
fn the_peak_is_a_buffer_and_three_times_the_signature() {
    const MIB: usize = 1 << 20;
    let (small, _) = signed(2 * MIB as u64);
    let (large, mut image) = signed(128 * MIB as u64);
    let table = 128 * MIB / 4096 * 36;
    assert!(small < 2 * MIB, "{small}");
    assert!(large < 2 * MIB + 3 * table, "{large}");
    let nothing = pkix::revocation::Evidence::default();
    let now = pkix::Time(1_795_163_445);
    let request = verify::Request { anchors: &[], others: &[], revocation: &nothing, now, kernel: false };
    let (peak, report) = peak(|| verify::verify(&mut image, &request).unwrap());
    let [signature] = report.signatures.as_slice() else { unreachable!("it was signed once") };
    assert_eq!(signature.pages.map(|(_, pages)| pages), Some(128 * MIB / 4096 + 1));
    let words: Vec<_> = signature.findings.iter().map(|finding| finding.rule.word()).collect();
    assert_eq!(words, ["signature"], "the pages are what was signed, the signature is nobody's");
    assert!(peak < MIB + 4 * table, "{peak}");
}
