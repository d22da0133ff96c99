//! Each platform of chains against a server that enforces its signature scheme, computed again here from the public
//! document by other code than the adapter's. None of these is the live service.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anchor::baas::auth::{Handshake, Jwt, PerRequest, Tc3};
use anchor::baas::{AntChain, Authenticate, Chain, Platform, Rest, Tencent, XuperChain};
use anchor::{Anchor, AnchorError, Authority as _, Evidence, Http, Order, Status, Subject};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use signing::{Algorithm, EcdsaSigner, PublicKey, Signer, Verifier as _};
use support::{Asked, serve};

fn chain(platform: impl Platform + 'static, auth: impl Authenticate + 'static) -> Chain {
    Chain::new("chain", Http::default(), Box::new(platform), Box::new(auth))
}

fn order(subject: &Subject, metadata: &BTreeMap<String, String>, act: impl FnOnce(&Order<'_>)) {
    let requested = "2026-11-21T08:30:00Z".parse().unwrap();
    act(&Order { subject, biz_id: "order_20241105_8892", requested, metadata });
}

/// Deposits, then asks once: the anchor after each.
fn twice(chain: &Chain) -> (Anchor, Anchor) {
    let subject = Subject::of("a", b"evidence");
    let mut out = None;
    order(&subject, &BTreeMap::from([("source".into(), "erp-system".into())]), |order| {
        let first = chain.submit(order).unwrap();
        let second = chain.status(&first).unwrap();
        out = Some((first, second));
    });
    out.unwrap()
}

/// What every chain must be given, by the names of the interface.
fn check_fields(fields: &Value) {
    assert_eq!(fields["bizId"], "order_20241105_8892");
    assert_eq!(fields["contentHash"], hex::encode(Sha256::digest(b"evidence")));
    let flat =
        |value: &Value| value.as_str().map_or_else(|| value.clone(), |t| serde_json::from_str(t).unwrap());
    assert_eq!(flat(&fields["timestamp"]), 1_795_249_800_000_i64);
    assert_eq!(flat(&fields["metadata"])["source"], "erp-system");
}

fn ok(value: &Value) -> (u16, Vec<u8>) {
    (200, value.to_string().into_bytes())
}

fn check_states((first, second): (Anchor, Anchor), tx: &str, height: u64) {
    assert_eq!((first.status, second.status), (Status::Pending, Status::Success));
    let Evidence::Chain { tx_id, block_height, .. } = second.evidence else { panic!("no chain") };
    assert_eq!((tx_id.as_deref(), block_height), (Some(tx), Some(height)));
}

/// An RSA key of 2048 bits, made by OpenSSL: keys of RSA are read here, and not made.
fn rsa() -> Box<dyn Signer> {
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .unwrap();
    signing::keys::signer_from_pem(std::str::from_utf8(&made.stdout).unwrap()).unwrap()
}

#[test]
fn antchain_wants_a_signed_handshake_and_its_token_and_gives_a_new_one() {
    let key = rsa();
    let public = PublicKey::of(key.as_ref()).unwrap();
    let handshakes = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&handshakes);
    let address = serve(move |asked: &Asked| {
        let body = asked.json();
        let mut handshakes = counted.lock().unwrap();
        if asked.path == "/api/contract/shakeHand" {
            let message = format!("{}{}", body["accessId"].as_str().unwrap(), body["time"].as_str().unwrap());
            let secret = hex::decode(body["secret"].as_str().unwrap()).unwrap();
            if public.verify(message.as_bytes(), &secret).is_err() {
                return ok(&json!({"success": false, "code": "401"}));
            }
            *handshakes += 1;
            return ok(&json!({"success": true, "code": "200", "data": format!("token-{handshakes}")}));
        }
        assert_eq!(body["accessId"], "access");
        // The first token is taken once, as if its time were over then.
        if body["token"] != format!("token-{handshakes}") || (*handshakes == 1 && body["method"] != "DEPOSIT")
        {
            return ok(&json!({"success": false, "code": "202", "data": "token expired"}));
        }
        match body["method"].as_str().unwrap() {
            "DEPOSIT" => {
                assert_eq!((&body["orderId"], &body["bizid"]), (&json!("order_20241105_8892"), &json!("c1")));
                check_fields(&serde_json::from_str(body["content"].as_str().unwrap()).unwrap());
                ok(&json!({"success": true, "code": "200", "data": "89d9b359"}))
            }
            _ => {
                assert_eq!(body["hash"], "89d9b359");
                let receipt = json!({"blockNumber": 17, "result": 0}).to_string();
                ok(&json!({"success": true, "code": "200", "data": receipt}))
            }
        }
    });
    let platform = AntChain {
        url: address.clone(),
        chain_id: "c1".into(),
        account: "who".into(),
        key_id: "kms".into(),
        tenant: "t".into(),
    };
    let states = twice(&chain(platform, Handshake::new(Http::default(), &address, "access", key)));
    check_states(states, "89d9b359", 17);
    assert_eq!(*handshakes.lock().unwrap(), 2);
}

#[test]
fn antchain_gives_no_token_for_another_key() {
    let address = serve(|_| ok(&json!({"success": false, "code": "401"})));
    let platform = AntChain { url: address.clone(), ..AntChain::default() };
    let chain = chain(platform, Handshake::new(Http::default(), &address, "access", rsa()));
    order(&Subject::of("a", b"evidence"), &BTreeMap::new(), |order| {
        let refused = chain.submit(order).unwrap_err();
        assert!(matches!(refused, AnchorError::Declined { .. }), "{refused}");
        assert!(!refused.is_passing());
    });
}

/// HMAC-SHA256 by RFC 2104, from the hash alone.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |byte: u8| block.iter().map(|b| b ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([&padded(0x36)[..], message].concat());
    Sha256::digest([&padded(0x5c)[..], &inner[..]].concat()).to_vec()
}

#[test]
fn tencent_wants_each_request_signed_by_tc3() {
    let address = serve(|asked: &Asked| {
        let time: i64 = asked.header("x-tc-timestamp").parse().unwrap();
        let date = jiff::Timestamp::from_second(time).unwrap().to_string()[..10].to_owned();
        let action = asked.header("x-tc-action");
        let canonical = [
            "POST",
            "/",
            "",
            &format!("content-type:{}", asked.header("content-type")),
            &format!("host:{}", asked.header("host")),
            &format!("x-tc-action:{}", action.to_lowercase()),
            "",
            "content-type;host;x-tc-action",
            &hex::encode(Sha256::digest(&asked.body)),
        ]
        .join("\n");
        let scope = format!("{date}/tbaas/tc3_request");
        let digest = hex::encode(Sha256::digest(canonical));
        let to_sign = format!("TC3-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let key = ["tbaas", "tc3_request"]
            .iter()
            .fold(hmac(b"TC3secret", date.as_bytes()), |key, part| hmac(&key, part.as_bytes()));
        let signature = hex::encode(hmac(&key, to_sign.as_bytes()));
        let wanted = format!(
            "TC3-HMAC-SHA256 Credential=id/{scope}, SignedHeaders=content-type;host;x-tc-action, Signature={signature}"
        );
        if asked.header("authorization") != wanted {
            return ok(
                &json!({"Response": {"Error": {"Code": "AuthFailure.SignatureFailure", "Message": "no"}}}),
            );
        }
        let body = asked.json();
        assert_eq!((asked.header("x-tc-version"), &body["ClusterId"]), ("2018-04-16", &json!("n1")));
        let result = match action {
            "InvokeChainMakerContract" => {
                check_fields(&serde_json::from_str(body["FuncParam"].as_str().unwrap()).unwrap());
                json!({"Code": 0, "TxId": "tx77"})
            }
            _ => {
                assert_eq!(body["TxID"], "tx77");
                json!({"Code": 0, "TxId": "tx77", "BlockHeight": 5})
            }
        };
        ok(&json!({"Response": {"Result": result, "RequestId": "r"}}))
    });
    let platform = |url: &str| Tencent {
        url: url.to_owned(),
        region: "ap-beijing".into(),
        cluster: "n1".into(),
        chain_id: "chain".into(),
        contract: "evidence".into(),
        function: "save".into(),
    };
    let tc3 = |secret: &str| Tc3::new("id", secret.to_owned().into(), "tbaas");
    check_states(twice(&chain(platform(&address), tc3("secret"))), "tx77", 5);
    order(&Subject::of("a", b"evidence"), &BTreeMap::new(), |order| {
        let refused = chain(platform(&address), tc3("another")).submit(order).unwrap_err();
        assert!(refused.to_string().contains("AuthFailure"), "{refused}");
        assert!(!format!("{refused:?}").contains("another"), "the secret is in the error");
    });
}

#[test]
fn xuperchain_wants_each_request_signed_by_ecdsa() {
    let key = EcdsaSigner::generate(Algorithm::EcdsaP256).unwrap();
    let known = hex::encode(key.public_key_der());
    let address = serve(move |asked: &Asked| {
        let mut parts = asked.header("authorization").split('/');
        assert_eq!(parts.next(), Some("auth-v1"));
        let (time, signature) = (parts.next().unwrap(), hex::decode(parts.next().unwrap()).unwrap());
        assert_eq!((time.len(), asked.header("x-user-pubkey")), (13, known.as_str()));
        let mut query: Vec<String> =
            asked.path.split_once('?').unwrap().1.split('&').map(str::to_owned).collect();
        query.sort();
        let signed = format!("_={time}{}", query.concat());
        let public = PublicKey::from_spki_der(&hex::decode(&known).unwrap()).unwrap();
        if public.verify(signed.as_bytes(), &signature).is_err() {
            return (401, b"{}".to_vec());
        }
        if asked.method == "GET" {
            assert_eq!(asked.path, "/network/1/chain/xuper/transaction?txid=ab12");
            return ok(&json!({"code": 200, "data": {"txid": "ab12", "blockHeight": "9"}}));
        }
        assert!(
            asked
                .path
                .starts_with("/network/1/chain/xuper/contract/evidence/invoke?bizId=order_20241105_8892&")
        );
        let body = asked.json();
        check_fields(&body["args"]);
        ok(&json!({"code": 200, "data": {"txid": "ab12"}}))
    });
    let platform = |url: &str| XuperChain {
        url: format!("{url}/network/1"),
        chain: "xuper".into(),
        contract: "evidence".into(),
        function: "save".into(),
    };
    check_states(twice(&chain(platform(&address), PerRequest::new(Box::new(key)).unwrap())), "ab12", 9);
    assert!(PerRequest::new(Box::new(signing::Ed25519Signer::generate().unwrap())).is_err());
    // A key that nobody knows there: the same request under a public key that is not its own.
    struct Stranger(EcdsaSigner, Vec<u8>);
    impl Signer for Stranger {
        fn algorithm(&self) -> Algorithm {
            Algorithm::EcdsaP256
        }
        fn key_id(&self) -> signing::KeyId {
            self.0.key_id()
        }
        fn public_key_der(&self) -> Vec<u8> {
            self.1.clone()
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, signing::SigningError> {
            self.0.sign(message)
        }
    }
    let stranger = EcdsaSigner::generate(Algorithm::EcdsaP256).unwrap();
    let refusing = serve(move |asked: &Asked| {
        let mut parts = asked.header("authorization").split('/').skip(1);
        let (time, signature) = (parts.next().unwrap(), hex::decode(parts.next().unwrap()).unwrap());
        let query = asked.path.split_once('?').unwrap().1.split('&').collect::<Vec<_>>().concat();
        let public = PublicKey::from_spki_der(&hex::decode(asked.header("x-user-pubkey")).unwrap()).unwrap();
        let held = public.verify(format!("_={time}{query}").as_bytes(), &signature).is_ok();
        (if held { 200 } else { 401 }, b"{\"code\":200,\"data\":{\"txid\":\"ab12\"}}".to_vec())
    });
    let other = EcdsaSigner::generate(Algorithm::EcdsaP256).unwrap().public_key_der();
    let chain = chain(platform(&refusing), PerRequest::new(Box::new(Stranger(stranger, other))).unwrap());
    order(&Subject::of("a", b"evidence"), &BTreeMap::new(), |order| {
        assert!(matches!(chain.submit(order), Err(AnchorError::Answered { status: 401, .. })));
    });
}

fn jwt(end: i64, number: u32) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(json!({"alg": "HS256"})), part(json!({"exp": end, "jti": number})))
}

#[test]
fn a_jwt_is_asked_for_once_and_renewed_when_it_ends_or_is_refused() {
    let given = Arc::new(Mutex::new(Vec::<String>::new()));
    let issued = Arc::clone(&given);
    let address = serve(move |asked: &Asked| {
        let mut given = issued.lock().unwrap();
        if asked.path == "/token" {
            // RFC 6749 §2.3.1: both form-encoded before base64.
            let basic = STANDARD.encode("who%40here:s%25cret");
            assert_eq!(asked.header("authorization"), format!("Basic {basic}"));
            assert_eq!(asked.body, b"grant_type=client_credentials");
            // The first is over in a minute, so that it is renewed at once; the others live.
            let life = if given.is_empty() { 59 } else { 3600 };
            let end = jiff::Timestamp::now().as_second() + life;
            let token = jwt(end, u32::try_from(given.len()).unwrap());
            given.push(token.clone());
            return ok(&json!({"access_token": token, "token_type": "Bearer"}));
        }
        let newest = given.last().cloned().unwrap_or_default();
        // The second is withdrawn after one use: the client hears 401, and comes again with a third.
        let withdrawn = asked.method == "GET" && given.len() == 2;
        if withdrawn || asked.header("authorization") != format!("Bearer {newest}") {
            return (401, b"{}".to_vec());
        }
        if asked.method == "GET" {
            assert_eq!(asked.path, "/v1/evidence/order_20241105_8892");
            return ok(&json!({"status": "success", "txId": "t1", "blockHeight": 3}));
        }
        check_fields(&asked.json());
        ok(&json!({"status": "pending", "txId": "t1"}))
    });
    let auth =
        || Jwt::new(Http::default(), &format!("{address}/token"), "who@here", "s%cret".to_owned().into());
    let chain = chain(Rest { url: address.clone() }, auth());
    let subject = Subject::of("a", b"evidence");
    let metadata = BTreeMap::from([("source".into(), "erp-system".into())]);
    order(&subject, &metadata, |order| drop(chain.submit(order).unwrap()));
    assert_eq!(given.lock().unwrap().len(), 1);
    check_states(twice(&chain), "t1", 3);
    assert_eq!(given.lock().unwrap().len(), 3);
}

#[test]
fn another_content_under_an_id_is_a_conflict_and_a_chain_that_is_down_is_not() {
    let down = AnchorError::Answered { address: String::new(), status: 503, words: String::new() };
    assert!(down.is_passing());
    let address = serve(|asked: &Asked| match asked.path.as_str() {
        "/token" => ok(&json!({"access_token": jwt(i64::MAX / 2, 0)})),
        _ => (409, b"{}".to_vec()),
    });
    let auth = Jwt::new(Http::default(), &format!("{address}/token"), "i", "s".to_owned().into());
    let conflicting = chain(Rest { url: address }, auth);
    let auth = Jwt::new(Http::default(), "http://127.0.0.1:1/token", "i", "s".to_owned().into());
    let absent = chain(Rest { url: "http://127.0.0.1:1".into() }, auth);
    order(&Subject::of("a", b"evidence"), &BTreeMap::new(), |order| {
        assert!(matches!(conflicting.submit(order), Err(AnchorError::Conflict { .. })));
        let unreachable = absent.submit(order).unwrap_err();
        assert!(unreachable.is_passing(), "{unreachable}");
        let odd = Order { biz_id: "no spaces", ..order.clone() };
        assert!(matches!(conflicting.submit(&odd), Err(AnchorError::Request { .. })));
    });
}

#[test]
fn waiting_grows_and_ends_at_five_minutes() {
    use anchor::baas::back_off;
    let waits: Vec<u128> = (0..20).map(|n| back_off(n, 0).as_millis()).collect();
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!((800..=1000).contains(&waits[0]) && *waits.last().unwrap() <= 300_000, "{waits:?}");
    assert!((0..1000).all(|seed| back_off(30, seed * 7919).as_secs() <= 300));
}
