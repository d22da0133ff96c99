//! The supervisor's facts: as events for the ledger, as JSON lines, and as remarks for people.

use std::path::{Path, PathBuf};
use std::time::Duration;

use event::Severity;
use supervise::{Class, Containment, End, Ended, Fact, Image, Measured};

use super::crash;
use crate::cmd::Context;
use crate::failure::Failure;

/// What a fact becomes in the ledger.
#[derive(Debug)]
pub(crate) struct EventFields {
    /// The action code.
    pub(crate) action: &'static str,
    /// How grave it is.
    pub(crate) severity: Severity,
    /// What it is about and under which circumstances, in a fixed order. Which of the two a name belongs to says
    /// [`is_object`].
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// The program and its measurements are the event's object; everything else is its context.
fn is_object(name: &str) -> bool {
    ["program", "path", "size", "sha256", "sm3"].contains(&name) || name.starts_with("loader")
}

impl EventFields {
    /// The fact as the ledger takes it, about the service `name`.
    pub(crate) fn fact(&self, name: &str) -> event::Fact {
        let fact = event::Fact::new(self.action).severity(self.severity).subject("svc", name.to_owned());
        self.fields.iter().fold(fact, |fact, (key, value)| match is_object(key) {
            true => fact.object(*key, value.clone()),
            false => fact.context(*key, value.clone()),
        })
    }
}

/// Describes `fact` as an event. Arguments, environment and stderr never enter: they may hold secrets.
pub(crate) fn fact_to_event_fields(fact: &Fact) -> EventFields {
    let (action, severity, fields) = match fact {
        Fact::Verified { pid, image, grounds } => (
            "RUN.VERIFIED",
            Severity::Info,
            [vec![("pid", pid.to_string())], measured(image), vec![("grounds", grounds.clone())]].concat(),
        ),
        Fact::Refused { image, reason } => {
            ("RUN.REFUSED", Severity::Critical, [measured(image), vec![("reason", reason.clone())]].concat())
        }
        Fact::StartFailed { reason } => ("RUN.REFUSED", Severity::Error, vec![("reason", reason.clone())]),
        Fact::Started { pid, program, verified, image, containment, sockets } => {
            let severity = if *verified { Severity::Info } else { Severity::Warn };
            let mut fields = vec![
                ("pid", pid.to_string()),
                ("program", program.display().to_string()),
                ("verified", verified.to_string()),
                ("containment", contained(containment)),
            ];
            if !sockets.is_empty() {
                fields.push(("sockets", sockets.join(":")));
            }
            // A verified image stands in RUN.VERIFIED; of another one this is the only trace.
            fields.extend(image.iter().filter(|_| !verified).flat_map(measured));
            ("RUN.STARTED", severity, fields)
        }
        Fact::Exited(ended) => {
            let severity = if ended.end.class() == Class::Clean { Severity::Info } else { Severity::Error };
            ("RUN.EXITED", severity, ended_fields(ended))
        }
        Fact::Crashed(ended) => ("RUN.CRASHED", Severity::Critical, ended_fields(ended)),
        Fact::Restarting { after, count, limit } => {
            let mut fields = vec![("after_ms", after.as_millis().to_string())];
            if *count > 0 {
                fields.extend([("count", count.to_string()), ("limit", limit.to_string())]);
            }
            ("RUN.RESTARTING", Severity::Warn, fields)
        }
        Fact::GaveUp { restarts, end } => {
            let restarts = restarts.map(|n| ("restarts", n.to_string()));
            ("RUN.GAVE_UP", Severity::Critical, restarts.into_iter().chain(end_fields(*end)).collect())
        }
        Fact::Signal { number, delivered } => (
            "RUN.SIGNAL",
            Severity::Info,
            vec![("signal", signal_name(*number)), ("delivered", delivered.to_string())],
        ),
        Fact::Swept { processes, forced } => (
            "RUN.SWEPT",
            Severity::Warn,
            vec![("processes", processes.to_string()), ("forced", forced.to_string())],
        ),
        Fact::Stopped { forced } => ("RUN.STOPPED", Severity::Info, vec![("forced", forced.to_string())]),
        other => ("RUN.STOPPED", Severity::Warn, vec![("unknown", format!("{other:?}"))]),
    };
    EventFields { action, severity, fields }
}

fn measured(image: &Image) -> Vec<(&'static str, String)> {
    let Measured { path, size, digest, .. } = &image.executable;
    let mut fields = vec![
        ("path", path.display().to_string()),
        ("size", size.to_string()),
        ("sha256", hex::encode(digest.sha256)),
        ("sm3", hex::encode(digest.sm3)),
    ];
    if let Some(loader) = &image.loader {
        fields.push(("loader", loader.path.display().to_string()));
        fields.push(("loader_sha256", hex::encode(loader.digest.sha256)));
        fields.push(("loader_sm3", hex::encode(loader.digest.sm3)));
    }
    fields
}

fn contained(containment: &Containment) -> String {
    match containment {
        Containment::Cgroup(path) => format!("cgroup:{}", path.display()),
        Containment::Reaper => "reaper".to_owned(),
    }
}

fn ended_fields(ended: &Ended) -> Vec<(&'static str, String)> {
    let mut fields = vec![("pid", ended.pid.to_string())];
    fields.extend(end_fields(ended.end));
    fields.push(("uptime_ms", ended.uptime.as_millis().to_string()));
    fields.push(("user_ms", ended.usage.user.as_millis().to_string()));
    fields.push(("system_ms", ended.usage.system.as_millis().to_string()));
    fields.push(("max_resident_kib", ended.usage.max_resident_kib.to_string()));
    fields
}

fn end_fields(end: End) -> Vec<(&'static str, String)> {
    match end {
        End::Code(code) => vec![("code", code.to_string())],
        End::Signal { number, core } => vec![("signal", signal_name(number)), ("core", core.to_string())],
    }
}

/// How it ended, in words.
pub(super) fn describe_end(end: End) -> String {
    match end {
        End::Code(code) => format!("exit {code}"),
        End::Signal { number, core } => {
            format!("{}{}", signal_name(number), if core { " (core written)" } else { "" })
        }
    }
}

/// The names of signal(7) for x86 and ARM, where a service is likely to meet them.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        28 => "SIGWINCH",
        31 => "SIGSYS",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// The program's name, for people and for the event's subject.
pub(super) fn name_of(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// Records and tells each fact, and keeps the crash reports.
pub(super) struct Reporter<'a> {
    context: &'a Context,
    name: String,
    crashes: Option<PathBuf>,
    recorded: bool,
}

impl<'a> Reporter<'a> {
    /// Opens the home's ledger, when there is a home: a start that could not be recorded is none.
    pub(super) fn new(context: &'a Context, name: &str, crash_dir: Option<PathBuf>) -> Result<Self, Failure> {
        let recorded = context.home.existing().is_ok();
        if recorded {
            context.session()?;
        } else {
            context
                .output
                .remark(&format!("{name}: not recorded, there is no home (`custody init` makes one)"));
        }
        let crashes = crash_dir.or_else(|| recorded.then(|| context.home.path().join("crashes")));
        Ok(Self { context, name: name.to_owned(), crashes, recorded })
    }

    pub(super) fn tell(&mut self, fact: &Fact) {
        let output = self.context.output;
        let mut event = fact_to_event_fields(fact);
        if let Fact::Exited(ended) | Fact::Crashed(ended) = fact
            && ended.end.class() != Class::Clean
            && let Some(dir) = &self.crashes
        {
            match crash::write(dir, &self.name, ended) {
                Ok(path) => event.fields.push(("report", path.display().to_string())),
                Err(error) => output.remark(&format!("{}: no crash report: {error:#}", self.name)),
            }
        }
        self.record(&event);
        if output.json {
            output.remark(&self.line(&event));
        } else if let Some(text) = self.words(fact, &event) {
            output.remark(&format!("{}: {text}", self.name));
        }
    }

    /// A ledger that fails later does not take the service down with it; it is said each time.
    fn record(&self, event: &EventFields) {
        if self.recorded
            && let Err(failure) = self.context.record(event.fact(&self.name))
        {
            self.context.output.remark(&format!("{}: {} not recorded: {failure}", self.name, event.action));
        }
    }

    fn line(&self, event: &EventFields) -> String {
        let part = |object: bool| -> serde_json::Map<String, serde_json::Value> {
            let fields = event.fields.iter().filter(|(key, _)| is_object(key) == object);
            fields.map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect()
        };
        serde_json::json!({
            "ts": jiff::Timestamp::now().to_string(), "severity": event.severity.as_str(),
            "sub": { "svc": self.name }, "act": event.action, "obj": part(true), "ctx": part(false),
        })
        .to_string()
    }

    fn words(&self, fact: &Fact, event: &EventFields) -> Option<String> {
        Some(match fact {
            Fact::Verified { image, .. } => {
                format!("verified, sha256:{}…", hex::encode(&image.executable.digest.sha256[..8]))
            }
            Fact::Refused { .. } => "refused".to_owned(),
            Fact::StartFailed { reason } => format!("not started: {reason}"),
            Fact::Started { pid, verified, .. } => {
                format!("started{}, pid {pid}", if *verified { "" } else { " unsealed" })
            }
            Fact::Exited(ended) | Fact::Crashed(ended) => {
                let report = event.fields.iter().find(|(key, _)| *key == "report");
                let report = report.map(|(_, path)| format!(", report in {path}")).unwrap_or_default();
                format!("ended with {} after {}{report}", describe_end(ended.end), time(ended.uptime))
            }
            Fact::Restarting { after, count: 0, .. } => format!("crashed; again in {}", time(*after)),
            Fact::Restarting { after, count, limit } => {
                format!("again in {} (restart {count} of {limit})", time(*after))
            }
            Fact::Signal { number, delivered: true } => format!("{} passed on", signal_name(*number)),
            Fact::Signal { number, delivered: false } => {
                format!("{} came while it was down", signal_name(*number))
            }
            Fact::Swept { processes, forced } => {
                format!("{processes} left-over processes {}", if *forced { "killed" } else { "ended" })
            }
            Fact::Stopped { forced: true, .. } => "killed: it did not stop when asked".to_owned(),
            _ => return None, // the command's own ending says it
        })
    }
}

fn time(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ if duration.as_secs() < 120 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min", duration.as_secs() / 60),
    }
}
