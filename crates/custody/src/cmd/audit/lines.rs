//! How events are printed: one a line, for people or as JSON, with the severity's colour on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use audit::{AuditError, Found};
use clap::{Args, ValueEnum};
use event::{Event, Severity};

use super::super::Context;
use crate::failure::Failure;

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// How events are printed.
#[derive(Args)]
pub(crate) struct LineArgs {
    /// Colour by severity: on a terminal unless NO_COLOR is set, always or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    color: When,
}

impl LineArgs {
    /// A non-empty `NO_COLOR` (no-color.org) means never, unless colours are asked for by name.
    fn colours(&self) -> bool {
        let plain = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => std::io::stdout().is_terminal() && !plain(),
        }
    }
}

/// Lines that are printed together.
pub(crate) struct Page<'a> {
    context: &'a Context,
    colours: bool,
    text: String,
}

impl<'a> Page<'a> {
    pub(crate) fn new(context: &'a Context, args: &LineArgs) -> Self {
        Self { context, colours: args.colours(), text: String::new() }
    }

    pub(crate) fn add(&mut self, found: &Found) -> Result<(), AuditError> {
        if self.context.output.json {
            self.text.push_str(&String::from_utf8_lossy(&found.stored));
            self.text.push('\n');
        } else {
            self.text.push_str(&line(found, self.colours)?);
        }
        if self.text.len() > 64 * 1024 { self.flush().map_err(unprinted) } else { Ok(()) }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() { Ok(()) } else { self.context.output.stream(&text) }
    }
}

/// Ends the search when what it finds cannot be printed.
pub(crate) fn unprinted(failure: Failure) -> AuditError {
    AuditError::Io {
        what: "print to",
        path: "standard output".into(),
        source: std::io::Error::other(failure.to_string()),
    }
}

/// A digest cut to what a person compares; `--json` has it whole.
fn readable(value: &str) -> Cow<'_, str> {
    match value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => format!("{}…", &value[..12]).into(),
        false => value.into(),
    }
}

/// Select Graphic Rendition (ECMA-48 §8.3.117): dim, none, yellow, red, white on red.
fn colour(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Debug => Some("\x1b[2m"),
        Severity::Info => None,
        Severity::Warn => Some("\x1b[33m"),
        Severity::Error => Some("\x1b[31m"),
        Severity::Critical => Some("\x1b[1;37;41m"),
    }
}

/// `index  time  severity  action  subject  object  context`, on one line whatever the values hold.
fn line(found: &Found, colours: bool) -> Result<String, AuditError> {
    let event: Event<'_> =
        event::validate(&found.stored).map_err(|source| AuditError::Entry { index: found.index, source })?;
    let (on, off) = match colour(event.severity).filter(|_| colours) {
        Some(on) => (on, "\x1b[0m"),
        None => ("", ""),
    };
    let mut line = format!(
        "{:>8}  {:.23}Z  {on}{:<8}{off}  {:<16}",
        found.index,
        event.ts.as_str(),
        event.severity.as_str(),
        event.act
    );
    for (name, fields) in [("sub", &event.sub), ("obj", &event.obj), ("ctx", &event.ctx)] {
        for (key, value) in fields.iter().filter(|(key, _)| !key.starts_with("peer.")) {
            let value: String = readable(value).chars().flat_map(char::escape_debug).collect();
            let _ = write!(line, " {name}.{key}={value}"); // a String takes everything
        }
    }
    line.push('\n');
    Ok(line)
}
