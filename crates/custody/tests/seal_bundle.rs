//! Seals as Sigstore bundles: of a signature that is there, and of one without a lasting key, by a real Fulcio with an
//! issuer of the test's own, in a real Rekor, dated by `openssl ts`; judged by Custody and by sigstore-go.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::pe::{authority, issue, openssl};
use support::{Home, text};

const CONFIG: &str = "[tsa]\ndefault_tsa=x\n[x]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4\n\
digests=sha256,sha384\ness_cert_id_chain=no\ness_cert_id_alg=sha256\ntsa_name=no\nordering=no\n";

/// A program of the rig; where peers are required, its absence fails.
fn peer(test: &str, name: &str) -> Option<PathBuf> {
    let rig = std::env::var_os("CUSTODY_RIG_DIR").map(PathBuf::from).unwrap_or_default();
    let path = rig.join("sigstore/bin").join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {}", path.display());
    eprintln!("SKIPPED {test}: there is no {} (`cargo xtask peers` builds it)", path.display());
    None
}

/// A server that runs, and is killed with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it ended already
        let _ = self.0.wait(); // as above
    }
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

fn start(program: &Path, home: &Home, arguments: &[&str], port: &str) -> Running {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(home.folder()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        assert!(Instant::now() < end, "{} does not begin to listen", program.display());
        std::thread::sleep(Duration::from_millis(100));
    }
    running
}

/// Answers each request with what `answer` makes of its path and body.
fn serve(listener: TcpListener, mut answer: impl FnMut(&str, Vec<u8>) -> Vec<u8> + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (first, body) = support::http::request(&stream);
            let answer = answer(first.split(' ').nth(1).unwrap_or_default(), body);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &answer].concat());
        }
    });
}

fn json_of(home: &Home, arguments: &[&str], code: i32) -> Value {
    serde_json::from_slice(&home.run(&[arguments, &["--json"]].concat(), code).stdout).unwrap()
}

#[test]
fn a_signature_that_is_there_is_exported_and_judged() {
    let test = "a_signature_that_is_there_is_exported_and_judged";
    let home = Home::new();
    home.write("payments", "a program");
    home.run(&["seal", "create", "payments", "-o", "payments.seal.json"], 0);
    home.run(&["key", "new", "second", "--algorithm", "ecdsa-p256"], 0);
    home.run(&["key", "new", "gm", "--algorithm", "sm2"], 0);
    home.run(&["seal", "sign", "payments.seal.json", "--key", "second", "--key", "gm"], 0);
    for (name, more) in [("default", &[][..]), ("second", &["--head"][..])] {
        let pem = home.run(&["key", "show", name, "--pem"], 0).stdout;
        home.write("key.pem", &pem);
        let id = openssl(home.folder(), "pkey -pubin -in key.pem -outform DER");
        let id = hex::encode(gm::Dual::digest(&id).sha256);
        let line = ["seal", "bundle", "payments.seal.json", "--signer", &id[..16], "-o", "b.json"];
        let made = json_of(&home, &[&line[..], more].concat(), 0);
        assert_eq!(made["signer"], id);
        let verify = ["anchor", "verify", "payments", "--bundle", "b.json", "--public-key", "key.pem"];
        home.run(&verify, 1);
        home.run(&[&verify[..], &["--unlogged"]].concat(), 0);
        if let Some(judge) = peer(test, "sigstore-judge") {
            home.write("root.json", root(json!([]), json!([]), json!([])));
            let sha256 = hex::encode(gm::Dual::digest(b"a program").sha256);
            let judged = |sha256: &str| {
                let line = ["b.json", "root.json", sha256, "unlogged-key", "key.pem"];
                Command::new(&judge).args(line).current_dir(home.folder()).output().unwrap()
            };
            let output = judged(&sha256);
            assert!(output.status.success(), "{name}: {}", text(&output.stderr));
            assert!(!judged(&"00".repeat(32)).status.success());
        }
        home.write("payments", "another program");
        home.run(&[&verify[..], &["--unlogged"]].concat(), 1);
        home.write("payments", "a program");
    }
    // No such key; and a bundle has no place for SM2.
    home.run(&["seal", "bundle", "payments.seal.json", "--signer", "0000", "-o", "c.json"], 2);
    home.write("gm.pem", home.run(&["key", "show", "gm", "--pem"], 0).stdout);
    let spki = pem_der(&std::fs::read_to_string(home.folder().join("gm.pem")).unwrap());
    let id = hex::encode(gm::Dual::digest(&spki).sha256);
    home.run(&["seal", "bundle", "payments.seal.json", "--signer", &id, "-o", "c.json"], 2);
}

fn pem_der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

fn root(logs: Value, issuers: Value, timestampers: Value) -> String {
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": logs, "certificateAuthorities": issuers, "ctlogs": [], "timestampAuthorities": timestampers,
    })
    .to_string()
}

fn chain(ders: &[Vec<u8>]) -> Value {
    let certificates: Vec<Value> = ders.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
    json!([{"subject": {"organization": "test", "commonName": "test"}, "uri": "https://test",
        "certChain": {"certificates": certificates}, "validFor": {"start": "2020-01-01T00:00:00Z"}}])
}

/// An issuer of identity tokens, and a token of it.
fn issuer(home: &Home) -> (String, String) {
    openssl(home.folder(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out issuer.pem");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let modulus = text(&openssl(home.folder(), "rsa -in issuer.pem -noout -modulus"));
    let modulus = hex::decode(modulus.trim().trim_start_matches("Modulus=")).unwrap();
    let keys = json!({"keys": [{"kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256",
        "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"}]});
    let discovery = json!({
        "issuer": address, "jwks_uri": format!("{address}/keys"), "authorization_endpoint": format!("{address}/a"),
        "token_endpoint": format!("{address}/t"), "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
    });
    serve(listener, move |path, _| {
        let answer = if path.contains("well-known") { &discovery } else { &keys };
        answer.to_string().into_bytes()
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": address, "aud": "sigstore", "sub": "release", "email": "release@bank.example",
        "email_verified": true, "iat": now, "exp": now + 600});
    let signed = format!("{}.{}", part(json!({"alg": "RS256", "kid": "k"})), part(claims));
    home.write("signed", &signed);
    let signature = openssl(home.folder(), "dgst -sha256 -sign issuer.pem signed");
    (address, format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// `openssl ts` behind HTTP.
fn tsa(home: &Home) -> String {
    authority(home.folder());
    issue(home.folder(), "tsa", "RSA", "tsa", "root");
    home.write("tsa.cnf", CONFIG);
    home.write("serial", "01\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let dir = home.folder().to_owned();
    serve(listener, move |_, body| {
        std::fs::write(dir.join("request.tsq"), body).unwrap();
        openssl(
            &dir,
            "ts -reply -config tsa.cnf -queryfile request.tsq -signer tsa.pem -inkey tsa.key.pem -out reply.tsr",
        );
        std::fs::read(dir.join("reply.tsr")).unwrap()
    });
    address
}

#[test]
fn a_seal_is_signed_by_name_without_a_lasting_key() {
    let test = "a_seal_is_signed_by_name_without_a_lasting_key";
    let (Some(fulcio), Some(rekor), Some(judge)) =
        (peer(test, "fulcio"), peer(test, "posix"), peer(test, "sigstore-judge"))
    else {
        return;
    };
    let home = Home::new();
    let dir = home.folder();
    home.write("payments", "a program");
    home.run(&["seal", "create", "payments", "-o", "payments.seal.json"], 0);

    let (issuer, token) = issuer(&home);
    home.write("token.jwt", &token);
    home.write(
        "fulcio.yaml",
        format!(
            "oidc-issuers:\n  {issuer}:\n    issuer-url: {issuer}\n    client-id: sigstore\n    type: email\n"
        ),
    );
    let (port, socket) = (free(), format!("@custody-test-{}", std::process::id()));
    let line = [
        "serve",
        "--ca",
        "ephemeralca",
        "--ct-log-url",
        "",
        "--config-path",
        "fulcio.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--grpc-host",
        "127.0.0.1",
        "--grpc-port",
        &free(),
        "--metrics-port",
        &free(),
        "--legacy-unix-domain-socket",
        &socket,
    ];
    let _fulcio = start(&fulcio, &home, &line, &port);
    let certifier = format!("http://127.0.0.1:{port}");

    openssl(dir, "genpkey -algorithm ED25519 -out log.key.pem");
    openssl(dir, "pkey -in log.key.pem -pubout -out log.pub.pem");
    let port = free();
    let line = [
        "serve",
        "--http-port",
        &port,
        "--grpc-port",
        &free(),
        "--http-metrics-port",
        &free(),
        "--hostname",
        "log.test",
        "--storage-dir",
        "store",
        "--signer-filepath",
        "log.key.pem",
        "--checkpoint-interval",
        "1s",
    ];
    let _rekor = start(&rekor, &home, &line, &port);
    let (log, tsa) = (format!("http://127.0.0.1:{port}"), tsa(&home));

    let line = [
        "seal",
        "bundle",
        "payments.seal.json",
        "--fulcio",
        &certifier,
        "--identity-token",
        "token.jwt",
        "--rekor",
        &log,
        "--tsa",
        &tsa,
        "-o",
        "by-name.json",
    ];
    let made = json_of(&home, &line, 0);
    assert_eq!(made["signer"], format!("release@bank.example ({issuer})"));
    assert_eq!(made["log_index"], 0);

    // Whom to trust: Fulcio's own root, the log, the timestamp authority.
    let mut stream = TcpStream::connect(certifier.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /api/v2/trustBundle HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let pem = answer["chains"][0]["certificates"][0].as_str().unwrap();
    home.write("fulcio.pem", pem);
    let der = |name: &str| openssl(dir, &format!("x509 -in {name} -outform DER"));
    let spki = openssl(dir, "pkey -pubin -in log.pub.pem -outform DER");
    let id = gm::Dual::digest(&[b"log.test\n\x01", &spki[spki.len() - 32..]].concat()).sha256;
    let logs = json!([{"baseUrl": "https://log.test", "hashAlgorithm": "SHA2_256", "logId": {"keyId": STANDARD.encode(id)},
        "publicKey": {"rawBytes": STANDARD.encode(&spki), "keyDetails": "PKIX_ED25519",
            "validFor": {"start": "2020-01-01T00:00:00Z"}}}]);
    home.write(
        "trusted.json",
        root(logs, chain(&[der("fulcio.pem")]), chain(&[der("tsa.pem"), der("root.pem")])),
    );

    let verify =
        ["anchor", "verify", "payments", "--bundle", "by-name.json", "--trusted-root", "trusted.json"];
    let by = |name: &'static str| [&verify[..], &["--identity", name, "--issuer", &issuer]].concat();
    let held = json_of(&home, &by("release@bank.example"), 0);
    assert_eq!(
        (&held["identity"]["name"], &held["log"]),
        (&"release@bank.example".into(), &"log.test".into())
    );
    home.run(&by("somebody@bank.example"), 1);
    let sha256 = hex::encode(gm::Dual::digest(b"a program").sha256);
    let judged = |name: &str| {
        let line = ["by-name.json", "trusted.json", &sha256, "identity", name, &issuer];
        Command::new(&judge).args(line).current_dir(dir).output().unwrap()
    };
    let output = judged("release@bank.example");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!judged("somebody@bank.example").status.success());
}
