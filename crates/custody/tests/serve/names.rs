//! Who is let in, and as whom.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::{Daemon, home, stored, token};
use crate::support::{Home, event, id, text};

#[test]
fn a_right_is_what_the_token_says() {
    let (home, _) = home();
    let recorder = token(&home, "recorder", "record");
    let reader = token(&home, "reader", "read");
    let watcher = token(&home, "watcher", "metrics");
    let daemon = Daemon::start(&home, &[]);
    let body = event(&id(1));
    let post = |token: &str| daemon.post("/v1/events", "application/json", token, body.as_bytes()).status;
    assert_eq!((post(&recorder), post(&reader), post(&watcher)), (200, 403, 403));
    let metrics = |token: &str| daemon.get("/metrics", token).status;
    assert_eq!((metrics(&recorder), metrics(&reader), metrics(&watcher)), (403, 403, 200));
    assert_eq!(daemon.get("/checkpoint", &reader).status, 200);
    assert_eq!(daemon.get("/checkpoint", &recorder).status, 403);
    for wrong in ["", "cst_", &recorder[..40], &format!("{recorder}x"), "a b"] {
        let answer = daemon.get("/metrics", wrong);
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{}", answer.head);
    }
    assert_eq!(daemon.ask("GET /metrics HTTP/1.1", b"").status, 401);
    assert_eq!(daemon.ask("GET /healthz HTTP/1.1", b"").status, 200);
    assert_eq!(daemon.ask("GET /readyz HTTP/1.1", b"").status, 200);
    assert_eq!(daemon.get("/nowhere", &recorder).status, 404);
    assert_eq!(daemon.get("/v1/events", &recorder).status, 405);
    // Withdrawn while the daemon runs.
    home.run(&["serve", "token", "revoke", "recorder"], 0);
    daemon.signal("SIGHUP");
    let gone = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        post(&recorder) == 401
    });
    assert!(gone, "SIGHUP reads the tokens anew");
    let (_, said) = daemon.stop();
    assert!(said.contains("reloaded tokens"), "{said}");
    assert_eq!(stored(&home, "AUTH.TOKEN.REVOKED").len(), 1);
    let file = std::fs::read_to_string(home.path().join("serve.tokens")).unwrap();
    assert!(!file.contains("cst_"), "the file holds digests only");
}

#[test]
fn a_token_file_that_others_can_write_opens_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let (home, _) = home();
    let file = home.path().join("serve.tokens");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o022, 0);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let output = home.run(&["serve", "--listen", "127.0.0.1:0"], 2);
    assert!(text(&output.stderr).contains("others may write it"));
}

#[test]
fn nobody_is_let_in_unseen() {
    let bare = Home::new();
    let refused =
        |home: &Home, arguments: &[&str]| text(&home.run(&[&["serve"], arguments].concat(), 2).stderr);
    assert!(refused(&bare, &[]).contains("nobody could be let in"));
    assert!(refused(&bare, &["--insecure-loopback", "--listen", "0.0.0.0:0"]).contains("this machine only"));
    let (named, _) = home();
    assert!(refused(&named, &["--insecure-loopback"]).contains("exclude each other"));
    assert!(refused(&named, &["--listen", "0.0.0.0:0"]).contains("without TLS"));
    // Without names: programs of this machine, and no pages in a browser.
    let daemon = Daemon::start(&bare, &["--insecure-loopback"]);
    let post = |fields: &str| {
        let head = format!("POST /v1/events HTTP/1.1\r\ncontent-type: application/json{fields}");
        daemon.ask(&head, event(&id(1)).as_bytes()).status
    };
    assert_eq!(post(""), 200);
    assert_eq!(post("\r\norigin: https://evil.example"), 403);
    let mut stream = daemon.connect();
    std::io::Write::write_all(
        &mut stream,
        b"GET /metrics HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
    )
    .unwrap();
    assert_eq!(crate::rig::answer(stream).status, 403);
    drop(daemon);
    assert_eq!(stored(&bare, "AUTH.LOGIN.FAIL")[0]["ctx"]["peer.via"], "loopback");
}

/// An authority, a server and clients, made by openssl for this test.
struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    fn make(home: &Home) -> Option<Self> {
        let folder = home.folder().join("tls");
        std::fs::create_dir(&folder).unwrap();
        let certificates = Self { folder };
        if Command::new("openssl").arg("version").output().is_err()
            || Command::new("curl").arg("-V").output().is_err()
        {
            assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "openssl and curl are needed");
            eprintln!("SKIPPED: no openssl or no curl");
            return None;
        }
        for authority in ["ca", "other-ca"] {
            certificates.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {authority}.key \
                 -out {authority}.pem -subj /CN={authority} -days 2"
            ));
        }
        certificates.issue("server", "ca", "DNS:localhost,IP:127.0.0.1");
        certificates.issue("payments", "ca", "DNS:payments.bank.example,URI:spiffe://bank.example/payments");
        certificates.issue("auditor", "ca", "email:auditor@bank.example");
        certificates.issue("nameless", "ca", "IP:10.0.0.1");
        certificates.issue("stranger", "other-ca", "DNS:payments.bank.example");
        Some(certificates)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl {arguments}\n{}", text(&output.stderr));
    }

    fn issue(&self, name: &str, authority: &str, names: &str) {
        std::fs::write(self.folder.join("names"), format!("subjectAltName={names}\n")).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 \
             -extfile names -out {name}.pem"
        ));
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Posts one event with curl; the status, `000` when there was no connection.
    fn curl(&self, daemon: &Daemon, client: Option<&str>, body: &Path, more: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", &self.path("ca.pem")]);
        if let Some(client) = client {
            curl.args(["--cert", &self.path(&format!("{client}.pem"))]);
            curl.args(["--key", &self.path(&format!("{client}.key"))]);
        }
        curl.args(["-H", "content-type: application/json", "--data-binary"])
            .arg(format!("@{}", body.display()));
        curl.args(more).arg(format!("https://localhost:{}/v1/events", daemon.address.port()));
        text(&curl.output().unwrap().stdout)
    }
}

#[test]
fn a_client_certificate_is_a_name() {
    let home = Home::new();
    let Some(certificates) = Certificates::make(&home) else { return };
    let config = home.path().join("custody.toml");
    let tls = [("tls_cert", "server.pem"), ("tls_key", "server.key"), ("client_ca", "ca.pem")];
    let lines: String =
        tls.iter().map(|(key, file)| format!("{key} = {:?}\n", certificates.path(file))).collect();
    let serve = format!("[serve]\n{lines}clients = {{ \"auditor@bank.example\" = \"read\" }}\n");
    let template = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, template.replace("[serve]\n", &serve)).unwrap();
    let daemon = Daemon::start(&home, &[]);
    let body = home.write("one.json", event(&id(1)));
    assert_eq!(certificates.curl(&daemon, Some("payments"), &body, &[]), "200");
    assert_eq!(certificates.curl(&daemon, Some("auditor"), &body, &[]), "403", "its right is to read");
    assert_eq!(certificates.curl(&daemon, Some("nameless"), &body, &[]), "401", "an address is no name");
    assert_eq!(certificates.curl(&daemon, Some("stranger"), &body, &[]), "000", "another authority's");
    assert_eq!(certificates.curl(&daemon, None, &body, &[]), "000", "none at all");
    drop(daemon.stop());
    let found = stored(&home, "AUTH.LOGIN.FAIL");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["ctx"]["peer.name"], "spiffe://bank.example/payments");
    assert_eq!(found[0]["ctx"]["peer.via"], "certificate");
    // With tokens beside it, a client may come with either.
    let token = token(&home, "job", "record");
    let daemon = Daemon::start(&home, &[]);
    let header = format!("authorization: Bearer {token}");
    assert_eq!(certificates.curl(&daemon, None, &body, &["-H", &header]), "200");
    assert_eq!(certificates.curl(&daemon, None, &body, &[]), "401");
    let wrong = "authorization: Bearer cst_wrong";
    assert_eq!(certificates.curl(&daemon, Some("payments"), &body, &["-H", wrong]), "401");
    assert_eq!(certificates.curl(&daemon, Some("payments"), &body, &["--tls-max", "1.2"]), "200");
}
