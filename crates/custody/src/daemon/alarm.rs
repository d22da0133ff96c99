//! Alerts at work: a thread lets the engine's time pass, records what begins and ends, and hands it to the webhooks.
//! Nothing here is waited for by anyone who records.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use audit::alert::{Alarm, Alert, Rule, Rules, State};
use audit::{Recorder as _, Session};
use event::{Fact, Severity};

use super::webhook::{Hooks, Message};
use crate::failure::Failure;

/// How often the engine's time passes. Shorter than the shortest window of most rules.
const TURN: Duration = Duration::from_millis(200);
/// Bytes of a rules file.
const MAX_RULES: u64 = 1 << 20;

/// The alarm of a daemon, until it is dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    alarm: Arc<Alarm>,
    hooks: Mutex<Arc<Hooks>>,
    file: Option<PathBuf>,
    home: PathBuf,
    stop: AtomicBool,
}

/// Reads a rules file.
pub(crate) fn read_rules(path: &Path) -> Result<Rules, Failure> {
    use std::io::Read as _;
    let unusable = |why: anyhow::Error| {
        Failure::input(why.context(format!("cannot use the rules of alerts in {}", path.display())))
            .hint("docs/formats/alerts.md has the form; `custody audit alerts check FILE` tries them on past events")
    };
    let mut text = String::new();
    let file = crate::given::open(path).map_err(|e| unusable(e.into()))?;
    file.take(MAX_RULES + 1).read_to_string(&mut text).map_err(|e| unusable(e.into()))?;
    Rules::parse(&text).map_err(|e| unusable(e.into()))
}

impl Watch {
    /// Begins to watch. Without a file there are no rules, until one is there and the daemon is told to reload.
    pub(crate) fn start(session: &Arc<Session>, file: Option<PathBuf>, home: &Path) -> Result<Self, Failure> {
        let rules =
            file.as_deref().filter(|path| path.is_file()).map(read_rules).transpose()?.unwrap_or_default();
        let hooks = Mutex::new(Arc::new(Hooks::open(&rules.webhooks, home)?));
        let alarm = Arc::new(Alarm::new(rules));
        session.tap(Arc::clone(&alarm) as Arc<dyn audit::Tap>).map_err(crate::recorder::failure)?;
        let shared =
            Arc::new(Shared { alarm, hooks, file, home: home.to_owned(), stop: AtomicBool::new(false) });
        let (inner, session) = (Arc::clone(&shared), Arc::clone(session));
        let thread = std::thread::Builder::new()
            .name("custody-alerts".into())
            .spawn(move || {
                while !inner.stop.load(Ordering::Relaxed) {
                    std::thread::sleep(TURN);
                    turn(&inner, &session);
                }
            })
            .map_err(|e| Failure::environment(anyhow::Error::from(e).context("cannot start a thread")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Reads the rules anew; faulty ones leave the old in force.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        let file = self.shared.file.as_deref().filter(|path| path.is_file());
        let rules = file.map(read_rules).transpose()?.unwrap_or_default();
        let hooks = Hooks::open(&rules.webhooks, &self.shared.home)?;
        *self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(hooks);
        self.shared.alarm.replace(rules);
        Ok(())
    }

    /// Alerts that are raised now, and what the webhooks count: sent, failed, dropped.
    pub(crate) fn figures(&self) -> (u64, [u64; 3]) {
        let hooks = Arc::clone(&self.shared.hooks.lock().unwrap_or_else(PoisonError::into_inner));
        (self.shared.alarm.raised() as u64, hooks.figures())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported by the hook
        }
    }
}

fn turn(shared: &Shared, session: &Session) {
    let (rules, alerts) = shared.alarm.advance();
    let hooks = Arc::clone(&shared.hooks.lock().unwrap_or_else(PoisonError::into_inner));
    for alert in alerts {
        let Some(rule) = rules.rules.get(alert.rule) else { continue }; // of rules that were replaced just now
        let receipt = session.record(fact(rule, &alert)).ok();
        let message = Message::new(rule, &alert, receipt.map(|receipt| receipt.id.to_string()));
        hooks.send(&rule.webhooks, &message);
    }
}

/// The event of an alert.
fn fact(rule: &Rule, alert: &Alert) -> Fact {
    let (act, severity) = match alert.state {
        State::Raised => ("ALERT.RAISED", Severity::Critical),
        _ => ("ALERT.CLEARED", Severity::Info),
    };
    let fact = Fact::new(act)
        .severity(severity)
        .subject("svc", "custody")
        .object("rule", rule.name.clone())
        .context("level", rule.level.clone())
        .context("value", alert.value.to_string())
        .context("threshold", rule.limits.threshold.to_string())
        .context("reason", reason(alert.state));
    let fact = match alert.delta {
        Some(delta) => fact.context("delta", delta.to_string()),
        None => fact,
    };
    if alert.key.is_empty() {
        fact
    } else {
        fact.object("key", alert.key.chars().take(256).collect::<String>())
    }
}

/// Why it begins or ends, in a word.
pub(crate) fn reason(state: State) -> &'static str {
    match state {
        State::Raised => "row",
        State::Quiet => "quiet",
        State::Over => "over",
    }
}
