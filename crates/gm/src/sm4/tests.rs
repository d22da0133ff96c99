//! SM4 against the standards' examples, against OpenSSL, and its implementations against one another.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::block::{Engine, Sm4};
use super::gcm::{Sm4Gcm, Sm4GcmError};
use super::ghash::Multiplier;

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    let bytes = hex::decode(text).expect("the tests' own hexadecimal");
    bytes.try_into().expect("the tests' own lengths")
}

const KEY: &str = "0123456789abcdeffedcba9876543210";

fn ciphers(key: &[u8; 16]) -> impl Iterator<Item = (Engine, Sm4)> {
    Engine::available().map(|engine| (engine, Sm4::with_engine(key, engine)))
}

fn gcms(key: [u8; 16]) -> impl Iterator<Item = Sm4Gcm> {
    Engine::available().flat_map(move |engine| {
        Multiplier::available().map(move |multiplier| Sm4Gcm::with_engines(&key, engine, multiplier))
    })
}

/// GB/T 32907-2016, A.1.
#[test]
fn standard_example_one() {
    for (engine, cipher) in ciphers(&unhex(KEY)) {
        let mut block = unhex(KEY);
        cipher.encrypt_block(&mut block);
        assert_eq!(hex::encode(block), "681edf34d206965e86b3e94f536e4246", "{engine:?}");
        cipher.decrypt_block(&mut block);
        assert_eq!(hex::encode(block), KEY, "{engine:?}");
    }
}

/// GB/T 32907-2016, A.2: a million encryptions, one of the other.
#[test]
fn standard_example_two() {
    for (engine, cipher) in ciphers(&unhex(KEY)) {
        let mut block = unhex(KEY);
        for _ in 0..1_000_000 {
            cipher.encrypt_block(&mut block);
        }
        assert_eq!(hex::encode(block), "595298c7c6fd271f0402f804c33d3f66", "{engine:?}");
    }
}

/// RFC 8998, A.1.
#[test]
fn rfc_8998_gcm() {
    let nonce = unhex("00001234567800000000abcd");
    let aad: [u8; 20] = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let plain = b"\xaa\xbb\xcc\xdd\xee\xff\xee\xaa".map(|byte| [byte; 8]).concat();
    let sealed = "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735\
                  d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d";
    for gcm in gcms(unhex(KEY)) {
        let mut text = plain.clone();
        let tag = gcm.encrypt_in_place(&nonce, &aad, &mut text).expect("a short text");
        assert_eq!(hex::encode(&text), sealed);
        assert_eq!(hex::encode(tag), "83de3541e4c2b58177e065a9bf7b62ec");
        gcm.decrypt_in_place(&nonce, &aad, &mut text, &tag).expect("what was just sealed");
        assert_eq!(text, plain);
    }
}

/// draft-ribose-cfrg-sm4-10, A.2.5.1.
#[test]
fn draft_ribose_ctr() {
    let plain = b"\xaa\xbb\xcc\xdd\xee\xff\xaa\xbb".map(|byte| [byte; 8]).concat();
    let expected = "ac3236cb970cc20791364c395a1342d1a3cbc1878c6f30cd074cce385cdd70c7\
                    f234bc0e24c11980fd1286310ce37b926e02fcd0faa0baf38b2933851d824514";
    for (engine, cipher) in ciphers(&unhex(KEY)) {
        let mut text = plain.clone();
        cipher.apply_ctr(&unhex("000102030405060708090a0b0c0d0e0f"), &mut text);
        assert_eq!(hex::encode(text), expected, "{engine:?}");
    }
}

/// Project Wycheproof, sm4_gcm_test.json (schema v1): key, nonce, aad, text, sealed text, tag of its cases 2, 3, 4, 9,
/// 10 and 12.
const WYCHEPROOF: [[&str; 6]; 6] = [
    [
        "bedcfb5a011ebc84600fcb296c15af0d",
        "438a547a94ea88dce46c6c85",
        "",
        "",
        "",
        "a486a45596cb92cf529de2038583707d",
    ],
    [
        "384ea416ac3c2f51a76e7d8226346d4e",
        "b30c084727ad1c592ac21d12",
        "",
        "35",
        "a3",
        "a06f50a378b116e9dd2363a6e8babd88",
    ],
    [
        "cae31cd9f55526eb038241fc44cac1e5",
        "b5e006ded553110e6dc56529",
        "",
        "d10989f2c52e94ad",
        "ae080aa27f476736",
        "9e649f28d3f52a4bf7e3239a980617fd",
    ],
    [
        "28ff3def08179311e2734c6d1c4e2871",
        "32bcb9b569e3b852d37c766a",
        "c3",
        "dfc61a20df8505b53e3cd59f25770d5018add3d6",
        "cd6419e4b259e55f460f88763ed7229331ed11a0",
        "e156c8364e952357442b9a372ebc2f1f",
    ],
    [
        "e63a43216c08867210e248859eb5e99c",
        "9c3a4263d983456658aad4b1",
        "834afdc5c737186b",
        "b14da56b0462dc05b871fc815273ff4810f92f4b",
        "74011a2daa5b32ff71fc8fdd8b6ac88f3ac34c96",
        "7888f6f99acd94c4e7f919de632107dd",
    ],
    [
        "6a68671dfe323d419894381f85eb63fd",
        "9f0d85b605711f34cd2a35ba",
        "76eb5f147250fa3c12bff0a6e3934a0b16860cf11646773b",
        "0fc67899c3f1bbe196d90f1eca3797389230aa37",
        "e2ceb4ed26cad57080e1bf3104f3251c486395d6",
        "00468fce2225bfea9b46679889cd1241",
    ],
];

#[test]
fn wycheproof_gcm() {
    for [key, nonce, aad, plain, sealed, tag] in WYCHEPROOF {
        let aad = hex::decode(aad).expect("the tests' own hexadecimal");
        for gcm in gcms(unhex(key)) {
            let mut text = hex::decode(plain).expect("the tests' own hexadecimal");
            let own = gcm.encrypt_in_place(&unhex(nonce), &aad, &mut text).expect("a short text");
            assert_eq!((hex::encode(&text).as_str(), hex::encode(own).as_str()), (sealed, tag));
            gcm.decrypt_in_place(&unhex(nonce), &aad, &mut text, &own).expect("what was just sealed");
            assert_eq!(hex::encode(&text), plain);
        }
    }
}

#[test]
fn a_changed_tag_or_aad_or_text_is_refused_and_the_buffer_wiped() {
    for gcm in gcms([7; 16]) {
        for bit in 0..128 {
            let mut text = *b"what must not be seen";
            let mut tag = gcm.encrypt_in_place(&[1; 12], b"about", &mut text).expect("a short text");
            tag[bit / 8] ^= 1 << (bit % 8);
            refuse(&gcm, [1; 12], b"about", text, tag);
            tag[bit / 8] ^= 1 << (bit % 8);
            refuse(&gcm, [1; 12], b"abort", text, tag);
            refuse(&gcm, [2; 12], b"about", text, tag);
            text[bit % 21] ^= 1;
            refuse(&gcm, [1; 12], b"about", text, tag);
        }
    }
}

fn refuse(gcm: &Sm4Gcm, nonce: [u8; 12], aad: &[u8], mut text: [u8; 21], tag: [u8; 16]) {
    assert_eq!(gcm.decrypt_in_place(&nonce, aad, &mut text, &tag), Err(Sm4GcmError::Refused));
    assert_eq!(text, [0; 21]);
}

#[test]
fn implementations_agree_at_every_length() {
    for len in 0..=300 {
        agree([3; 16], [0xff; 16], &vec![0x5a; len], &vec![0xa5; len / 3]);
    }
    // As many blocks as are sliced together, and those that are left over.
    for len in (470..560).chain(1000..1100).step_by(7) {
        agree([4; 16], [0x0f; 16], &vec![0x33; len], b"");
    }
    // Whole chunks of the widest engine, the pieces of GCM, and a last word that wraps on the way.
    for (low, len) in
        [(0_u32, 20_003), (0xffff_ff00, 8192), (0xffff_ffff, 5000), (0xffff_ffc0, 1024), (7, 1023)]
    {
        let mut iv = [0xab; 16];
        iv[12..].copy_from_slice(&low.to_be_bytes());
        agree([5; 16], iv, &vec![0x77; len], &vec![0x11; len / 2]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn implementations_agree(
        key: [u8; 16],
        iv: [u8; 16],
        text in prop::collection::vec(any::<u8>(), 0..3000),
        aad in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        agree(key, iv, &text, &aad);
    }
}

/// Counter mode of every engine is that of the block function taken one block at a time; GCM of every pair is that
/// of the portable pair, and opens again.
fn agree(key: [u8; 16], iv: [u8; 16], text: &[u8], aad: &[u8]) {
    let one_by_one = ctr_one_by_one(&key, iv, text);
    for (engine, cipher) in ciphers(&key) {
        let mut own = text.to_vec();
        cipher.apply_ctr(&iv, &mut own);
        assert_eq!(own, one_by_one, "{engine:?}");
    }
    let nonce = unhex(&hex::encode(&iv[..12]));
    let seal = |gcm: &Sm4Gcm| {
        let mut own = text.to_vec();
        let tag = gcm.encrypt_in_place(&nonce, aad, &mut own).expect("a short text");
        (own, tag)
    };
    let portable = seal(&Sm4Gcm::with_engines(&key, Engine::Portable, Multiplier::Portable));
    for gcm in gcms(key) {
        let (mut own, tag) = seal(&gcm);
        assert_eq!((&own, tag), (&portable.0, portable.1));
        gcm.decrypt_in_place(&nonce, aad, &mut own, &tag).expect("what was just sealed");
        assert_eq!(own, text);
    }
}

fn ctr_one_by_one(key: &[u8; 16], iv: [u8; 16], text: &[u8]) -> Vec<u8> {
    let cipher = Sm4::with_engine(key, Engine::Portable);
    let mut counter = u128::from_be_bytes(iv);
    let mut out = text.to_vec();
    for chunk in out.chunks_mut(16) {
        let mut block = counter.to_be_bytes();
        cipher.encrypt_block(&mut block);
        counter = counter.wrapping_add(1);
        chunk.iter_mut().zip(block).for_each(|(byte, key)| *byte ^= key);
    }
    out
}

#[test]
fn counter_mode_is_openssls() {
    let iv = "fffffffffffffffffffffffffffffff0";
    let text: Vec<u8> = (0..5000_u32).map(|i| (i % 251).to_be_bytes()[3]).collect();
    let Some(theirs) = openssl_ctr(iv, &text) else {
        eprintln!("SKIPPED: no openssl with sm4-ctr here");
        return;
    };
    for (engine, cipher) in ciphers(&unhex(KEY)) {
        let mut own = text.clone();
        cipher.apply_ctr(&unhex(iv), &mut own);
        assert_eq!(own, theirs, "{engine:?}");
    }
}

fn openssl_ctr(iv: &str, text: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(["enc", "-sm4-ctr", "-K", KEY, "-iv", iv])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(text).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// draft-ribose-cfrg-sm4-10, A.2.2.1, without the padding that ours adds.
#[test]
fn draft_ribose_cbc() {
    let plain = b"\xaa\xbb\xcc\xdd\xee\xff\xaa\xbb".map(|byte| [byte; 4]).concat();
    for (engine, cipher) in ciphers(&unhex(KEY)) {
        let iv = unhex("000102030405060708090a0b0c0d0e0f");
        let sealed = cipher.cbc_encrypt(&iv, &plain);
        assert_eq!(sealed.len(), 48);
        assert_eq!(
            hex::encode(&sealed[..32]),
            "78ebb11cc40b0a48312aaeb2040244cb4cb7016951909226979b0d15dc6a8f6d",
            "{engine:?}"
        );
        assert_eq!(cipher.cbc_decrypt(&iv, &sealed).unwrap().to_vec(), plain);
    }
}

/// Every length around the batch, every value of the last byte: what was sealed opens, and a wrong padding does not.
#[test]
fn cbc_padding() {
    let (key, iv) = ([7; 16], [9; 16]);
    let all: Vec<_> = ciphers(&key).collect();
    for length in (0..100).chain(1000..1060) {
        let text: Vec<u8> = (0..length).map(|i: u32| i.to_le_bytes()[0]).collect();
        let sealed = all[0].1.cbc_encrypt(&iv, &text);
        for (engine, cipher) in &all {
            assert_eq!(cipher.cbc_encrypt(&iv, &text), sealed, "{engine:?}");
            assert_eq!(cipher.cbc_decrypt(&iv, &sealed).unwrap().to_vec(), text, "{engine:?}");
        }
    }
    let (engine, cipher) = &all[0];
    for fill in 0..=255u8 {
        for tail in 0..=17u8 {
            // A block whose last bytes are all `tail`, and the others `fill`.
            let mut block = [[fill; 16]];
            let count = usize::from(tail.min(16));
            block[0][16 - count..].fill(tail);
            let last = block[0][15];
            let good = (1..=16).contains(&last)
                && block[0][16 - usize::from(last)..].iter().all(|byte| *byte == last);
            cipher.cbc_encrypt_blocks(&iv, &mut block);
            let opened = cipher.cbc_decrypt(&iv, &block[0]);
            assert_eq!(opened.is_ok(), good, "{engine:?}: {fill} {tail}");
        }
    }
    assert_eq!(cipher.cbc_decrypt(&iv, &[]).err(), Some(super::Sm4CbcError));
    assert_eq!(cipher.cbc_decrypt(&iv, &[0; 17]).err(), Some(super::Sm4CbcError));
}
