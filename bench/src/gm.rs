//! SM3 and SM4 on one core beside OpenSSL, libgcrypt and RustCrypto, all in this process: bytes a second of processor time, so
//! that other work on the machine takes nothing away. What comes out is compared first.

use std::hint::black_box;
use std::time::Duration;

use ::gm::{BLOCK, Dual, LANES, Lanes, Sm3, Sm4, Sm4Gcm};
use anyhow::{Result, ensure};

use crate::Plan;
use crate::foreign::{Gcrypt, OpenSsl};
use crate::measure::{Row, thread_time};

/// What TLS records and most fields and files come in.
const SIZE: usize = 16 * 1024;
const KEY: [u8; 16] = [0x42; 16];
/// The last word of it is far from wrapping, as a random one's is.
const COUNTER: [u8; 16] = [0x17; 16];
const UNIT: &str = "MB/s of CPU time";

pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let bench = Bench { plan, time: Duration::from_millis(if plan.sample { 2 } else { 300 }) };
    let (openssl, gcrypt) = (OpenSsl::load(), Gcrypt::load());
    let mut rows = Vec::new();
    if let Some(openssl) = &openssl {
        let version = openssl.version()?;
        rows.push(bench.ctr_openssl(openssl, &version)?);
        rows.push(bench.sm3_openssl(openssl, &version)?);
        rows.push(bench.lanes(openssl, &version)?);
    }
    if let Some(gcrypt) = &gcrypt {
        let version = gcrypt.version()?;
        rows.push(bench.ctr_gcrypt(gcrypt, &version)?);
        rows.push(bench.gcm_gcrypt(gcrypt, &version)?);
    }
    rows.push(bench.sm3_rust()?);
    Ok(rows)
}

#[derive(Clone, Copy)]
struct Bench {
    plan: Plan,
    time: Duration,
}

impl Bench {
    /// Both sides in turn, over `bytes` in a call.
    fn row(
        &self,
        what: &str,
        peer: &str,
        bytes: usize,
        mut ours: impl FnMut() -> Result<()>,
        mut theirs: impl FnMut() -> Result<()>,
    ) -> Result<Row> {
        let rate = |run: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
            let (begun, mut calls) = (thread_time()?, 0u32);
            loop {
                for _ in 0..16 {
                    run()?;
                }
                calls += 16;
                let spent = thread_time()?.saturating_sub(begun);
                if spent >= self.time {
                    return Ok(f64::from(calls) * bytes as f64 / spent.as_secs_f64() / 1e6);
                }
            }
        };
        Row::alternate(
            (what, peer, UNIT),
            self.plan.rounds,
            || Ok((rate(&mut ours)?, None)),
            || rate(&mut theirs),
        )
    }

    fn ctr_openssl(&self, openssl: &OpenSsl, version: &str) -> Result<Row> {
        let (cipher, mut peer) = (Sm4::new(&KEY), openssl.sm4_ctr(&KEY)?);
        let (mut ours, mut theirs) = (vec![7; SIZE], vec![7; SIZE]);
        cipher.apply_ctr(&COUNTER, &mut ours);
        peer(&COUNTER, &mut theirs)?;
        ensure!(ours == theirs, "SM4-CTR differs from OpenSSL's");
        let own = || {
            cipher.apply_ctr(&COUNTER, black_box(&mut ours));
            Ok(())
        };
        self.row("SM4-CTR, 16 KiB, one core", version, SIZE, own, || peer(&COUNTER, black_box(&mut theirs)))
    }

    fn ctr_gcrypt(&self, gcrypt: &Gcrypt, version: &str) -> Result<Row> {
        let (cipher, mut peer) = (Sm4::new(&KEY), gcrypt.sm4(false, &KEY)?);
        let (mut ours, mut theirs) = (vec![7; SIZE], vec![7; SIZE]);
        cipher.apply_ctr(&COUNTER, &mut ours);
        peer.apply(&COUNTER, &mut theirs)?;
        ensure!(ours == theirs, "SM4-CTR differs from libgcrypt's");
        let own = || {
            cipher.apply_ctr(&COUNTER, black_box(&mut ours));
            Ok(())
        };
        self.row("SM4-CTR, 16 KiB, one core", version, SIZE, own, || {
            peer.apply(&COUNTER, black_box(&mut theirs))
        })
    }

    fn gcm_gcrypt(&self, gcrypt: &Gcrypt, version: &str) -> Result<Row> {
        let (cipher, mut peer) = (Sm4Gcm::new(&KEY), gcrypt.sm4(true, &KEY)?);
        let (mut ours, mut theirs) = (vec![7; SIZE], vec![7; SIZE]);
        let tag = cipher.encrypt_in_place(&[1; 12], b"", &mut ours)?;
        peer.apply(&[1; 12], &mut theirs)?;
        ensure!(ours == theirs && tag == peer.tag()?, "SM4-GCM differs from libgcrypt's");
        let own = || {
            black_box(cipher.encrypt_in_place(&[1; 12], b"", black_box(&mut ours))?);
            Ok(())
        };
        let other = || {
            peer.apply(&[1; 12], black_box(&mut theirs))?;
            black_box(peer.tag()?);
            Ok(())
        };
        self.row("SM4-GCM, seal 16 KiB, one core", version, SIZE, own, other)
    }

    fn sm3_openssl(&self, openssl: &OpenSsl, version: &str) -> Result<Row> {
        let (message, mut peer) = (vec![7; SIZE], openssl.sm3()?);
        ensure!(Sm3::digest(&message) == peer(&message)?, "SM3 differs from OpenSSL's");
        let own = || {
            black_box(Sm3::digest(black_box(&message)));
            Ok(())
        };
        self.row("SM3, one stream, 16 KiB", version, SIZE, own, || peer(black_box(&message)).map(drop))
    }

    fn sm3_rust(&self) -> Result<Row> {
        use sm3::Digest as _;
        let message = vec![7; SIZE];
        let peer = |message: &[u8]| <[u8; 32]>::from(sm3::Sm3::digest(message));
        ensure!(Sm3::digest(&message) == peer(&message), "SM3 differs from RustCrypto's");
        let own = || {
            black_box(Sm3::digest(black_box(&message)));
            Ok(())
        };
        let other = || {
            black_box(peer(black_box(&message)));
            Ok(())
        };
        self.row("SM3, one stream, 16 KiB", "RustCrypto sm3", SIZE, own, other)
    }

    /// Sixteen streams under both hashes, against SM3 alone by the peer.
    fn lanes(&self, openssl: &OpenSsl, version: &str) -> Result<Row> {
        let (message, mut peer) = (vec![7; 2 * SIZE], openssl.sm3()?);
        let blocks: &[[u8; BLOCK]] = message.as_chunks().0;
        let mut lanes = Lanes::new();
        ensure!(Dual::digest(&message).sm3 == peer(&message)?, "SM3 differs from OpenSSL's");
        let own = || {
            lanes.absorb(black_box([blocks; LANES]));
            Ok(())
        };
        let other = || (0..LANES).try_for_each(|_| peer(black_box(&message)).map(drop));
        let (what, peer) = ("SHA-256 and SM3 of sixteen streams of 32 KiB", format!("{version}, SM3 alone"));
        self.row(what, &peer, LANES * message.len(), own, other)
    }
}
