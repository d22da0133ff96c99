//! What a command prints: data on stdout, everything else on stderr; quiet about a broken pipe.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// Bytes of a JSON document that are written at once.
const PIECE: usize = 64 << 10;

/// How this run prints, from the global flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// `--json`: one document, or JSON Lines where there are many.
    pub(crate) json: bool,
    /// `--quiet`: no progress, no remarks.
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints `text` to stdout as it is, for people. A reader that went away (`custody … | head`) is no error, and
    /// does not change what the command does or how it ends: a finding nobody reads is still exit code 1.
    pub(crate) fn text(self, text: &str) -> Outcome {
        write_stdout(text.as_bytes()).map(|_| ())
    }

    /// Prints a part of a stream that does nothing but print; ends the process, quietly, when nobody reads on.
    pub(crate) fn stream(self, text: &str) -> Outcome {
        match write_stdout(text.as_bytes())? {
            Reader::Gone => std::process::exit(0),
            Reader::There => Ok(()),
        }
    }

    /// Prints one JSON document, on one line, to stdout.
    pub(crate) fn json_line(self, value: &impl Serialize) -> Outcome {
        // In pieces: a list of functions or of events need not be in memory as text too.
        let mut out = BufWriter::with_capacity(PIECE, io::stdout().lock());
        match serde_json::to_writer(&mut out, value) {
            Err(error) if !error.is_io() => Err(Failure::input(error)),
            written => {
                let written = written.map_err(io::Error::from);
                told(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush())).map(|_| ())
            }
        }
    }

    /// Prints `value` as JSON, or what `text` makes of it, as the flags say.
    pub(crate) fn show<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Outcome {
        if self.json { self.json_line(value) } else { self.text(&text(value)) }
    }

    /// A remark on stderr, unless `--quiet`.
    pub(crate) fn remark(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}"); // nobody left to tell
        }
    }

    /// A progress bar over `total` bytes; drawn only on a terminal, only after the first second.
    pub(crate) fn bytes_bar(self, total: Option<u64>, what: &str) -> ProgressBar {
        let style = match total {
            Some(_) => "{msg} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {binary_bytes_per_sec}",
        };
        self.bar(total, style, what)
    }

    /// A progress bar over `total` things.
    pub(crate) fn count_bar(self, total: Option<u64>, what: &str) -> ProgressBar {
        let style = match total {
            Some(_) => "{msg} [{wide_bar}] {pos}/{len} {eta}",
            None => "{msg} {spinner} {pos}",
        };
        self.bar(total, style, what)
    }

    fn bar(self, total: Option<u64>, style: &str, what: &str) -> ProgressBar {
        let target = if self.quiet || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(8)
        };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    }
}

/// Whether somebody still reads stdout.
enum Reader {
    There,
    Gone,
}

fn write_stdout(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    told(out.write_all(bytes).and_then(|()| out.flush()))
}

fn told(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(e) => Err(Failure::environment(anyhow::Error::from(e).context("cannot write to stdout"))
            .hint("the command itself may have done its work; make room where its output goes, and look")),
        Ok(()) => Ok(Reader::There),
    }
}
