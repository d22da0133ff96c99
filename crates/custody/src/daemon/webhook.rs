//! Alerts go out: a thread for each webhook, a queue with a bound, retries that wait longer each time. The body is
//! signed, so that the other end can tell ours from anyone's (`docs/formats/alerts.md`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use audit::alert::{Alert, Rule, State, Webhook};
use aws_lc_rs::hmac;
use serde::Serialize;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use zeroize::Zeroizing;

use super::alarm::reason;
use crate::failure::Failure;

/// Messages that wait for one webhook; more are dropped, and counted. They are in the ledger all the same.
const QUEUE: usize = 256;
/// For one attempt, from the look-up of the name to the end of the answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Attempts, with 1, 2, 4 … seconds between them.
const ATTEMPTS: u32 = 7;
/// A key shorter than this could be guessed.
const MIN_SECRET: usize = 16;
/// Where systems keep the certificates of public authorities.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What is sent. The names are part of the format.
#[derive(Clone, Serialize)]
pub(crate) struct Message {
    rule: String,
    level: String,
    state: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<f64>,
    threshold: f64,
    /// When it was noticed: RFC 3339, UTC.
    at: String,
    /// The event in the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
}

impl Message {
    pub(crate) fn new(rule: &Rule, alert: &Alert, event: Option<String>) -> Self {
        Self {
            rule: rule.name.clone(),
            level: rule.level.clone(),
            state: if alert.state == State::Raised { "raised" } else { "cleared" },
            reason: reason(alert.state),
            key: (!alert.key.is_empty()).then(|| alert.key.clone()),
            value: alert.value,
            delta: alert.delta,
            threshold: rule.limits.threshold,
            at: audit::now().to_string(),
            event,
        }
    }
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// The webhooks of a rules file. Dropped, they send what waits in their queues, and end.
pub(crate) struct Hooks {
    queues: Vec<(String, SyncSender<Message>)>,
    counts: Arc<Counts>,
}

impl Hooks {
    /// Reads keys and certificates, and starts a thread for each.
    pub(crate) fn open(webhooks: &[Webhook], home: &Path) -> Result<Self, Failure> {
        let counts = Arc::new(Counts::default());
        let mut queues = Vec::new();
        for webhook in webhooks {
            let hook = Hook::open(webhook, home, Arc::clone(&counts))?;
            let (queue, messages) = sync_channel(QUEUE);
            std::thread::Builder::new()
                .name("custody-webhook".into())
                .spawn(move || hook.run(&messages))
                .map_err(|e| Failure::environment(anyhow::Error::from(e).context("cannot start a thread")))?;
            queues.push((webhook.name.clone(), queue));
        }
        Ok(Self { queues, counts })
    }

    /// Puts a message into the queues of some.
    pub(crate) fn send(&self, names: &[String], message: &Message) {
        for (_, queue) in self.queues.iter().filter(|(name, _)| names.contains(name)) {
            if queue.try_send(message.clone()).is_err() {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sent, failed, dropped.
    pub(crate) fn figures(&self) -> [u64; 3] {
        let counts = &self.counts;
        [&counts.sent, &counts.failed, &counts.dropped].map(|count| count.load(Ordering::Relaxed))
    }
}

struct Hook {
    url: String,
    key: hmac::Key,
    agent: ureq::Agent,
    counts: Arc<Counts>,
}

impl Hook {
    fn open(webhook: &Webhook, home: &Path, counts: Arc<Counts>) -> Result<Self, Failure> {
        let unusable = |why: anyhow::Error| {
            Failure::input(why.context(format!("cannot use the webhook `{}`", webhook.name)))
                .hint("its key is a file of at least 16 bytes that nobody else can read (`chmod 600`)")
        };
        let key = secret(&home.join(&webhook.secret_file)).map_err(unusable)?;
        let ca = webhook.ca.as_ref().map(|path| home.join(path));
        let tls = TlsConfig::builder()
            .root_certs(roots(ca.as_deref()).map_err(unusable)?)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ATTEMPT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("custody/", env!("CARGO_PKG_VERSION")))
            .proxy(None)
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self { url: webhook.url.clone(), key, agent, counts })
    }

    fn run(&self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            let counter = if self.deliver(&message) { &self.counts.sent } else { &self.counts.failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn deliver(&self, message: &Message) -> bool {
        let Ok(body) = serde_json::to_string(message) else { return false };
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(Duration::from_secs(1 << (attempt - 1)));
            }
            match self.attempt(&body) {
                Some(200..300) => return true,
                // The other end understood, and will not have it: to ask again would not help.
                Some(status @ 400..500) if status != 408 && status != 429 => return false,
                _ => {}
            }
        }
        false
    }

    /// The status that was answered, if anything was.
    fn attempt(&self, body: &str) -> Option<u16> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = hmac::sign(&self.key, format!("{seconds}.{body}").as_bytes());
        let header = format!("t={seconds},v1={}", hex::encode(signature));
        let request = self.agent.post(&self.url).content_type("application/json");
        let answer = request.header("x-custody-signature", header).send(body);
        answer.ok().map(|answer| answer.status().as_u16())
    }
}

fn secret(path: &Path) -> anyhow::Result<hmac::Key> {
    use std::io::Read as _;
    let file =
        crate::given::open(path).map_err(|e| anyhow::Error::from(e).context(path.display().to_string()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        anyhow::ensure!(
            file.metadata()?.permissions().mode() & 0o077 == 0,
            "others may read {}",
            path.display()
        );
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(4096).read_to_end(&mut bytes)?;
    let key = bytes.trim_ascii();
    anyhow::ensure!(key.len() >= MIN_SECRET, "{} holds less than {MIN_SECRET} bytes", path.display());
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key))
}

fn roots(ca: Option<&Path>) -> anyhow::Result<RootCerts> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.is_file());
    // Without any, https:// fails at each attempt, http:// to this machine does not need one.
    let Some(path) = ca.or_else(system) else { return Ok(RootCerts::new_with_certs(&[])) };
    let pem = std::fs::read(path).map_err(|e| anyhow::Error::from(e).context(path.display().to_string()))?;
    let certificates: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    anyhow::ensure!(!certificates.is_empty(), "{} holds no certificate", path.display());
    Ok(RootCerts::new_with_certs(&certificates))
}
