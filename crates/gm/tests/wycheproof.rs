//! Project Wycheproof's vectors, whole files: what implementations have got wrong before.

#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use gm::{HmacSm3, Sm4Gcm};
use serde_json::Value;

/// Each test with its group.
fn cases(file: &str) -> Vec<(Value, Value)> {
    let file: Value = serde_json::from_str(file).unwrap();
    let groups = file["testGroups"].as_array().unwrap();
    let cases: Vec<_> = groups
        .iter()
        .flat_map(|group| group["tests"].as_array().unwrap().iter().map(|test| (group.clone(), test.clone())))
        .collect();
    assert_eq!(cases.len() as u64, file["numberOfTests"].as_u64().unwrap());
    cases
}

fn bytes(test: &Value, field: &str) -> Vec<u8> {
    hex::decode(test[field].as_str().unwrap()).unwrap()
}

#[test]
fn hmac_sm3() {
    for (group, test) in cases(include_str!("wycheproof/hmac_sm3_test.json")) {
        let (key, message, tag) = (bytes(&test, "key"), bytes(&test, "msg"), bytes(&test, "tag"));
        assert_eq!(tag.len() as u64 * 8, group["tagSize"].as_u64().unwrap());
        let mut hmac = HmacSm3::new(&key);
        message.chunks(7).for_each(|piece| hmac.update(piece));
        let valid = test["result"] == "valid";
        assert_eq!(hmac.verify(&tag), valid, "{test}");
        assert_eq!(HmacSm3::mac(&key, &message)[..tag.len()] == tag[..], valid, "{test}");
    }
}

#[test]
fn sm4_gcm() {
    let (mut run, mut other) = (0, 0);
    for (_, test) in cases(include_str!("wycheproof/sm4_gcm_test.json")) {
        let (key, aad) = (bytes(&test, "key").try_into().unwrap(), bytes(&test, "aad"));
        let (plain, sealed) = (bytes(&test, "msg"), bytes(&test, "ct"));
        // This crate takes nonces of 96 bits and tags of 128 alone, by their types.
        let (Ok(nonce), Ok(tag)) = (bytes(&test, "iv").try_into(), bytes(&test, "tag").try_into()) else {
            other += 1;
            continue;
        };
        let gcm = Sm4Gcm::new(&key);
        let mut text = sealed.clone();
        let opened = gcm.decrypt_in_place(&nonce, &aad, &mut text, &tag);
        if test["result"] == "valid" {
            assert_eq!((opened, &text), (Ok(()), &plain), "{test}");
            assert_eq!(gcm.encrypt_in_place(&nonce, &aad, &mut text), Ok(tag), "{test}");
            assert_eq!(text, sealed, "{test}");
        } else {
            assert!(opened.is_err() && text.iter().all(|byte| *byte == 0), "{test}");
        }
        run += 1;
    }
    assert!(run > other, "{run} cases were run, and {other} are of other lengths");
}
