//! `[serve]` of custody.toml, and what the command line says instead.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use audit::intake::Rights;
use serde::Deserialize;

use crate::failure::{Failure, Outcome};

/// Where the daemon listens when nothing is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8480";

/// `[serve]` as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Serve {
    /// Addresses to listen on.
    pub(crate) listen: Vec<SocketAddr>,
    /// The server's certificates, PEM, its own first.
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub(crate) tls_key: Option<PathBuf>,
    /// Certificates of the authority whose clients are let in.
    pub(crate) client_ca: Option<PathBuf>,
    /// What a client certificate allows when its name is not in `clients`.
    pub(crate) client_rights: Option<String>,
    /// Names of client certificates and what they allow.
    pub(crate) clients: std::collections::BTreeMap<String, String>,
    /// The file of bearer tokens; `serve.tokens` in the home when it is there.
    pub(crate) token_file: Option<PathBuf>,
    /// The `[[anchor]]` that anchors what comes to `/v1/evidence`.
    pub(crate) evidence: Option<String>,
    /// The action of an OTLP record that names none.
    pub(crate) otlp_act: Option<String>,
    /// What happens to events while the disk is full, by the way they come: `http`, `otlp`, `ring`, `socket`.
    pub(crate) disk_full: std::collections::BTreeMap<String, WhenFull>,
    /// Seconds that a request waits for room, where it waits.
    pub(crate) block: Option<u64>,
    /// The file of the spill; `spill` in the home.
    pub(crate) spill_file: Option<PathBuf>,
    /// Its bytes.
    pub(crate) spill_bytes: Option<u64>,
    /// Bytes of a request's body, as sent and as unpacked.
    pub(crate) max_body: Option<usize>,
    /// Seconds that a request's head, and then its body, may take to come.
    pub(crate) patience: Option<u64>,
    /// Requests that are worked on at a time.
    pub(crate) in_flight: Option<usize>,
    /// Requests of one caller that are worked on at a time.
    pub(crate) in_flight_each: Option<usize>,
}

/// `[heartbeat]` as it is written, in seconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Heartbeat {
    /// Between two heartbeats.
    pub(crate) interval: Option<u64>,
    /// A wall clock that is off by this was set.
    pub(crate) step: Option<u64>,
    /// A process that runs later by this was stopped.
    pub(crate) stall: Option<u64>,
    /// So long may nothing come from outside.
    pub(crate) silence: Option<u64>,
}

impl Heartbeat {
    /// The pulse, complete.
    pub(crate) fn pulse(self) -> audit::Pulse {
        let seconds = |given: Option<u64>, otherwise: Duration| {
            given.map_or(otherwise, |seconds| Duration::from_secs(seconds.clamp(1, 86_400)))
        };
        let pulse = audit::Pulse::default();
        let tolerance = audit::Tolerance {
            step: seconds(self.step, pulse.tolerance.step),
            stall: seconds(self.stall, pulse.tolerance.stall),
        };
        let silence = self.silence.map(|silence| seconds(Some(silence), pulse.interval));
        audit::Pulse { interval: seconds(self.interval, pulse.interval), tolerance, silence }
    }
}

/// `[retention]` as it is written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keeping {
    /// Seconds between two passes.
    pub(crate) every: Option<u64>,
    /// Whether what may go is removed.
    pub(crate) prune: bool,
}

impl Keeping {
    /// How often and how far; nothing when the operator wants none.
    pub(crate) fn cadence(self) -> Option<audit::retention::Cadence> {
        let seconds = self.every.unwrap_or(3600).min(7 * 86_400);
        let every = Duration::from_secs(seconds);
        (seconds > 0).then_some(audit::retention::Cadence { every, prune: self.prune })
    }
}

/// `[alerts]` as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Alerts {
    /// The rules; `alerts.toml` in the home when it is there.
    pub(crate) file: Option<PathBuf>,
}

/// What happens to events of a source while the ledger's disk is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenFull {
    /// The caller is told to come again.
    #[default]
    Refuse,
    /// The request waits for room.
    Block,
    /// The events wait in a file.
    Spill,
}

/// Files of TLS.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

/// What the daemon is to do, complete.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) tls: Option<Tls>,
    pub(crate) tokens: Option<PathBuf>,
    pub(crate) client_rights: Rights,
    pub(crate) clients: std::collections::BTreeMap<String, Rights>,
    pub(crate) insecure_loopback: bool,
    pub(crate) otlp_act: Option<String>,
    pub(crate) disk_full: std::collections::BTreeMap<String, WhenFull>,
    pub(crate) block: Duration,
    pub(crate) spill: Option<(PathBuf, u64)>,
    pub(crate) max_body: usize,
    pub(crate) patience: Duration,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_each: usize,
}

impl Settings {
    /// Makes the settings complete. `home_tokens` is where tokens are when no file is named.
    pub(crate) fn of(serve: Serve, insecure_loopback: bool, home_tokens: PathBuf) -> Result<Self, Failure> {
        let tls = match (serve.tls_cert, serve.tls_key) {
            (Some(cert), Some(key)) => Some(Tls { cert, key, client_ca: serve.client_ca }),
            (None, None) if serve.client_ca.is_none() => None,
            _ => return Err(usage("a certificate, its key and a client authority belong together")),
        };
        let rights = |words: &str| {
            Rights::parse(words).map_err(|word| {
                usage(&format!("`{word}` is no right; there are record, read, monitor, metrics"))
            })
        };
        if serve.disk_full.keys().any(|way| !["http", "otlp", "ring", "socket"].contains(&way.as_str())) {
            return Err(usage("`disk_full` is for the ways `http`, `otlp`, `ring` and `socket`"));
        }
        if serve.disk_full.get("socket") == Some(&WhenFull::Spill) {
            return Err(usage("what comes over the socket can be refused or wait: it is told its index")
                .hint("`disk_full = { socket = \"block\" }`"));
        }
        let spills = serve.disk_full.values().any(|when| *when == WhenFull::Spill);
        let spill = spills.then(|| {
            let home = home_tokens.parent().map(std::path::Path::to_owned).unwrap_or_default();
            let file = serve.spill_file.map_or_else(|| home.join("spill"), |file| home.join(file));
            (file, serve.spill_bytes.unwrap_or(16 << 20))
        });
        let clients = serve.clients.iter().map(|(name, words)| Ok((name.clone(), rights(words)?)));
        Ok(Self {
            listen: if serve.listen.is_empty() {
                DEFAULT_LISTEN.parse().into_iter().collect()
            } else {
                serve.listen
            },
            tls,
            tokens: serve.token_file.or_else(|| home_tokens.is_file().then_some(home_tokens)),
            client_rights: rights(serve.client_rights.as_deref().unwrap_or("record"))?,
            clients: clients.collect::<Result<_, Failure>>()?,
            insecure_loopback,
            otlp_act: serve.otlp_act,
            spill,
            block: Duration::from_secs(serve.block.unwrap_or(30).clamp(1, 3600)),
            disk_full: serve.disk_full,
            max_body: serve.max_body.unwrap_or(8 << 20).clamp(1024, 64 << 20),
            patience: Duration::from_secs(serve.patience.unwrap_or(30).clamp(1, 600)),
            in_flight: serve.in_flight.unwrap_or(64).clamp(1, 512),
            in_flight_each: serve.in_flight_each.unwrap_or(32).clamp(1, 512),
        })
    }

    /// That nobody is let in unseen, and no token crosses a network in the clear.
    pub(crate) fn check(&self) -> Outcome {
        let names_callers =
            self.tokens.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let loopback = self.listen.iter().all(|address| address.ip().is_loopback());
        if self.insecure_loopback && !loopback {
            return Err(usage("--insecure-loopback is for addresses of this machine only"));
        }
        if self.insecure_loopback && names_callers {
            return Err(usage("--insecure-loopback and tokens or client certificates exclude each other"));
        }
        if !names_callers && !self.insecure_loopback {
            return Err(usage("nobody could be let in: there are neither tokens nor a client authority")
                .hint("make a token with `custody serve token new NAME --rights record`"));
        }
        if self.tls.is_none() && !loopback {
            return Err(usage("without TLS a token could be read on the network")
                .hint("give `--tls-cert` and `--tls-key`, or listen on a loopback address"));
        }
        Ok(())
    }
}

fn usage(text: &str) -> Failure {
    Failure::input(anyhow::anyhow!("{text}"))
}
