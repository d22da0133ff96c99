//! SM2 on one core beside RustCrypto's `sm2`: signatures and verifications a second, each side's signatures verified by the
//! other first. Time of the processor counts.

use std::time::Duration;

use ::gm::sm2::{DEFAULT_ID, PrivateKey, Signature};
use anyhow::{Result, ensure};
use sm2::dsa::signature::{Signer as _, Verifier as _};
use sm2::dsa::{Signature as PeerSignature, SigningKey};

use crate::Plan;
use crate::measure::{Row, thread_time};

const SECRET: [u8; 32] = [0x42; 32];
const MESSAGE: &[u8] = b"what a release is signed with, thirty-two bytes and a few more";

/// How often a second.
fn rate(time: Duration, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let (begun, mut count) = (thread_time()?, 0u32);
    loop {
        for _ in 0..16 {
            run()?;
            count += 1;
        }
        let spent = thread_time()?.saturating_sub(begun);
        if spent >= time {
            return Ok(f64::from(count) / spent.as_secs_f64());
        }
    }
}

pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let time = Duration::from_millis(if plan.sample { 5 } else { 500 });
    let ours = PrivateKey::from_bytes(&SECRET)?;
    let id = std::str::from_utf8(DEFAULT_ID)?;
    let theirs = SigningKey::from_slice(id, &SECRET)?;
    let our_signature = ours.sign(DEFAULT_ID, MESSAGE, &[7; 32])?;
    let their_signature: PeerSignature = theirs.sign(MESSAGE);
    let public = *ours.public_key();
    let in_their_form = PeerSignature::from_slice(&our_signature.to_bytes())?;
    let in_our_form = Signature::from_bytes(their_signature.to_bytes().as_ref())?;
    ensure!(theirs.verifying_key().verify(MESSAGE, &in_their_form).is_ok(), "the peer refuses our signature");
    public.verify(DEFAULT_ID, MESSAGE, &in_our_form)?;

    let peer = "RustCrypto sm2 0.14";
    let sign = Row::alternate(
        ("SM2 sign, one core", peer, "signatures/s"),
        plan.rounds,
        || {
            let sign = || std::hint::black_box(ours.sign(DEFAULT_ID, MESSAGE, &[7; 32])).map(|_| ());
            rate(time, || Ok(sign()?)).map(|figure| (figure, None))
        },
        || {
            let sign = || std::hint::black_box(theirs.try_sign(MESSAGE)).map(|_| ());
            rate(time, || Ok(sign()?))
        },
    )?;
    let verify = Row::alternate(
        ("SM2 verify, one core", peer, "verifications/s"),
        plan.rounds,
        || {
            rate(time, || Ok(public.verify(DEFAULT_ID, MESSAGE, &our_signature)?))
                .map(|figure| (figure, None))
        },
        || rate(time, || Ok(theirs.verifying_key().verify(MESSAGE, &their_signature)?)),
    )?;
    Ok(vec![sign, verify])
}
