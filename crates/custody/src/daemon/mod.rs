//! The daemon behind `custody serve`: the owner of a home in the foreground, and what it offers over HTTP.
//!
//! `tokio` carries connections; everything that touches the ledger runs on blocking threads, of which there are few,
//! and a request that finds none free is told to come again (`intake`). What can be asked for stands in one table
//! (`routes`); who may ask is decided before the handler is called (`gate`).

mod alarm;
mod answer;
mod body;
mod connection;
mod events;
mod evidence;
mod figures;
mod gate;
mod intake;
mod keep;
mod listen;
mod notify;
mod otlp;
mod read;
mod routes;
pub(crate) mod settings;
mod signals;
mod store;
mod tls;
mod webhook;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use audit::Session;
use tokio::sync::watch;

use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::recorder::failure;
pub(crate) use alarm::read_rules;
use figures::Figures;
use gate::Gate;
pub(crate) use gate::read_tokens;
use intake::Intake;
pub(crate) use settings::Settings;

/// How long requests that are being answered may take once the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What every connection shares.
pub(crate) struct Daemon {
    session: Arc<Session>,
    settings: Settings,
    gate: RwLock<Arc<Gate>>,
    intake: Intake,
    figures: Figures,
    alarm: alarm::Watch,
    readings: read::Readings,
    spill: Option<Arc<audit::Spill>>,
    evidences: Option<evidence::Evidences>,
    output: Output,
}

/// What the daemon is told besides its settings for HTTP.
pub(crate) struct Orders {
    pub(crate) settings: Settings,
    pub(crate) pulse: audit::Pulse,
    pub(crate) cadence: Option<audit::retention::Cadence>,
    pub(crate) rules: std::path::PathBuf,
    /// Who anchors what comes as evidence.
    pub(crate) authority: Option<Box<dyn anchor::Authority>>,
    pub(crate) output: Output,
}

impl Daemon {
    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads tokens and certificates anew. What cannot be read leaves everything as it was.
    fn reload(&self) {
        if let Err(failure) = self.alarm.reload() {
            self.output.remark(&format!("remark: rules of alerts not reloaded: {failure}"));
        }
        match Gate::read(&self.settings) {
            Ok(gate) => {
                *self.gate.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate);
                self.output.remark("reloaded tokens, certificates and rules");
            }
            Err(failure) => self.output.remark(&format!("remark: not reloaded: {failure}")),
        }
    }
}

/// Owns the home and serves until it is told to stop.
pub(crate) fn run(orders: Orders, home: &std::path::Path) -> Outcome {
    let Orders { settings, pulse, cadence, rules, authority, output } = orders;
    settings.check()?;
    let gate = Gate::read(&settings)?;
    let listeners = listen::bind(&settings.listen)?;
    let session = Arc::new(audit::own(home).map_err(failure)?);
    if settings.disk_full.get("socket") == Some(&settings::WhenFull::Block) {
        session.block_when_full(settings.block).map_err(failure)?;
    }
    let alarm = alarm::Watch::start(&session, Some(rules), home)?;
    let spill = store::open_spill(&settings)?;
    store::tell_rings(&session, &settings, spill.as_ref())?;
    let evidences = authority.map(|who| evidence::Evidences::start(&session, who)).transpose()?;
    let heart = session.beat(pulse).map_err(failure)?;
    let keeping = cadence.map(|cadence| keep::start(&session, cadence, output)).transpose()?;
    let intake = Intake::new(&settings);
    let gate = RwLock::new(Arc::new(gate));
    let (figures, readings) = (Figures::default(), read::Readings::default());
    let daemon = Arc::new(Daemon {
        session,
        settings,
        gate,
        intake,
        figures,
        alarm,
        readings,
        spill,
        evidences,
        output,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(daemon.intake.threads())
        .thread_name("custody-http")
        .enable_all()
        .build()
        .map_err(|e| {
            Failure::environment(anyhow::Error::from(e).context("cannot start the daemon's threads"))
        })?;
    let served = runtime.block_on(serve(&daemon, listeners));
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(keeping); // a pass that runs is finished
    drop(heart); // says that the ledger was closed in order
    served
}

async fn serve(daemon: &Arc<Daemon>, listeners: Vec<std::net::TcpListener>) -> Outcome {
    let (stop, stopping) = watch::channel(false);
    let signals = signals::Signals::listen()?;
    let mut tasks = tokio::task::JoinSet::new();
    for listener in listeners {
        let address = listener.local_addr().map_err(unusable)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
        let scheme = if daemon.settings.tls.is_some() { "https" } else { "http" };
        daemon.output.remark(&format!("listening on {scheme}://{address}"));
        tasks.spawn(connection::accept(Arc::clone(daemon), listener, stopping.clone()));
    }
    let replaying = tokio::spawn(store::replay(Arc::clone(daemon)));
    notify::ready();
    let ended = signals::wait(daemon, signals).await;
    notify::stopping();
    replaying.abort();
    daemon.output.remark("stopping: answering what was asked");
    let _ = stop.send(true); // nobody listens when every acceptor ended
    let drained = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        daemon.output.remark("remark: some connections were cut: they took longer than ten seconds");
    }
    ended
}

fn unusable(error: std::io::Error) -> Failure {
    Failure::environment(anyhow::Error::from(error).context("cannot use a listening socket"))
}
