//! How a command ends: exit codes, and errors as a person reads them.
//!
//! 0 it holds · 1 what was checked does not hold · 2 the input or the usage is wrong · 3 it cannot be done here.

use std::io::Write as _;
use std::process::ExitCode;

/// Why a command did not end with 0. Each command sorts its errors into one of these, with the mend where one is
/// known; only this file renders them.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    error: anyhow::Error,
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// What was checked does not hold: mismatch, denial, unknown signer, alert.
    Finding,
    /// The input or the usage is wrong.
    Input,
    /// It cannot be done here: privilege, kernel, platform, unreachable service.
    Environment,
}

/// The result of every command.
pub(crate) type Outcome = Result<(), Failure>;

impl std::fmt::Display for Failure {
    /// The error and its causes on one line, without the mend.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl Failure {
    /// Exit code 1: what was checked does not hold.
    pub(crate) fn finding(error: impl Into<anyhow::Error>) -> Self {
        Self { kind: Kind::Finding, error: error.into(), hint: None }
    }

    /// Exit code 2: the input or the usage is wrong.
    pub(crate) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { kind: Kind::Input, error: error.into(), hint: None }
    }

    /// Exit code 3: it cannot be done here.
    pub(crate) fn environment(error: impl Into<anyhow::Error>) -> Self {
        Self { kind: Kind::Environment, error: error.into(), hint: None }
    }

    /// Adds the mend: one line, what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn code(&self) -> u8 {
        match self.kind {
            Kind::Finding => 1,
            Kind::Input => 2,
            Kind::Environment => 3,
        }
    }

    /// Prints the error on stderr (as one JSON document when `json`) and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        ExitCode::from(self.tell(json))
    }

    /// As [`Failure::report`], for a command that must end the process itself.
    pub(crate) fn tell(&self, json: bool) -> u8 {
        let causes: Vec<String> = self.error.chain().map(ToString::to_string).collect();
        if json {
            let document = serde_json::json!({
                "error": causes.join(": "), "code": self.code(), "hint": self.hint,
            });
            tell(&document.to_string());
        } else {
            let hint = self.hint.as_ref().map(|hint| format!("\n\nhint: {hint}")).unwrap_or_default();
            tell(&format!("error: {}{hint}", causes.join(": ")));
        }
        self.code()
    }
}

/// A stderr that is closed or full must not change the exit code (`eprintln!` would panic).
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}"); // nobody left to tell
}
