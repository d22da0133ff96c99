//! `custody inspect`: what a Go executable says about itself, and how it is hardened.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use gobinary::hardening::{Assessment, Check, Status, assess};
use gobinary::{Binary, Error, Function, GoInfo, Inspection, Kind, Module, NxStack, Relro};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Larger files are refused: the whole file is held in memory.
const LARGEST: u64 = 2 << 30;
/// Modules listed in text; `--json` has all.
const MODULES: usize = 20;

/// Arguments of `custody inspect`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The executable (ELF or PE)
    #[arg(value_name = "BIN")]
    binary: PathBuf,
    /// List the functions of the runtime's table: address, size, name, source line
    #[arg(long)]
    functions: bool,
    /// Exit with 1 when the hardening score is below N: a gate for CI
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    min_score: Option<u32>,
}

/// Shown under `--help`; `tests/inspect.rs` runs them.
pub(crate) const EXAMPLES: &str = "Examples:
  $ custody inspect payments
  $ custody inspect payments --json
  $ custody inspect payments --functions
  $ custody inspect payments --min-score 60

Exit codes: 0 it was read (and reaches --min-score), 1 the score is below --min-score,
2 not a Go executable, 3 it may not be read";

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    facts: &'a Inspection,
    hardening: &'a Assessment,
}

#[derive(Serialize)]
struct FunctionList<'a> {
    functions: Vec<Function<'a>>,
}

pub(crate) fn run(args: &Args, output: Output) -> Outcome {
    let bytes = read(&args.binary)?;
    let failure = |error| failure(&args.binary, error);
    let binary = Binary::parse(&bytes).map_err(failure)?;
    let facts = binary.inspect();
    let assessment = assess(&facts);
    if args.functions {
        let list = FunctionList { functions: binary.functions().map_err(failure)? };
        output.show(&list, |list| function_text(&list.functions))?;
    } else {
        let document = Document { facts: &facts, hardening: &assessment };
        output.show(&document, |_| text(&args.binary, &facts, &assessment))?;
    }
    gate(&args.binary, &assessment, args.min_score)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let error = anyhow::Error::from(error).context(format!("cannot read {}", path.display()));
        if denied {
            return Failure::environment(error).hint("read it as a user who may, or copy it");
        }
        Failure::input(error).hint("name an executable file")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    // One byte more than is allowed tells a file that grows, or a device, from one that fits.
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(LARGEST)).unwrap_or(0));
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::input(anyhow!("{} is larger than 2 GiB", path.display())));
    }
    Ok(bytes)
}

fn failure(path: &Path, error: Error) -> Failure {
    let hint = match &error {
        Error::UnknownFormat { .. } => "name an ELF or PE executable that a Go toolchain built",
        Error::NotGo => {
            "is it packed (UPX), or built by another compiler? inspect the file that `go build` wrote"
        }
        Error::OldFunctionTable { .. } => {
            "rebuild it with Go 1.18 or later; without `--functions` the rest is shown"
        }
        Error::NoFunctionTable | Error::NoTextStart | Error::FunctionTable { .. } => {
            "the file may be damaged or obfuscated; without `--functions` the rest is shown"
        }
        _ => "the file may be damaged; compare it with its seal",
    };
    let context = format!("cannot inspect {}", path.display());
    Failure::input(Err::<(), _>(error).context(context).expect_err("it was an error")).hint(hint)
}

fn gate(path: &Path, assessment: &Assessment, least: Option<u32>) -> Outcome {
    match least {
        Some(least) if assessment.score < least => {
            let failed = assessment.checks.iter().filter(|c| c.status == Status::Fails && c.weight > 0);
            let mends: Vec<&str> = failed.filter_map(|c| c.mend).take(3).collect();
            let error = anyhow!("{} scores {}, below {least}", path.display(), assessment.score);
            Err(Failure::finding(error).hint(format!("what weighs most: {}", mends.join("; "))))
        }
        _ => Ok(()),
    }
}

fn function_text(functions: &[Function<'_>]) -> String {
    let mut text = String::with_capacity(functions.len() * 96);
    for f in functions {
        let place = if f.file.is_empty() { "-".to_owned() } else { format!("{}:{}", f.file, f.line) };
        let _ = writeln!(text, "{:#012x} {:>8}  {}  {place}", f.entry, f.size, printable(&f.name));
    }
    text
}

/// Names come from the file: what would steer a terminal is shown escaped.
fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().any(char::is_control) { text.escape_debug().to_string().into() } else { text.into() }
}

fn text(path: &Path, facts: &Inspection, assessment: &Assessment) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {}", printable(&value));
    };
    row("file", format!("{} ({} bytes)", path.display(), grouped(facts.bytes)));
    row(
        "format",
        format!("{} {} {}-bit {}-endian", facts.format, facts.architecture, facts.bits, facts.byte_order),
    );
    if let Some(go) = &facts.go {
        go_rows(go, &mut row);
    } else {
        row("go", "no build information".to_owned());
    }
    container_rows(facts, &mut row);
    symbol_rows(facts, &mut row);
    let _ = writeln!(out, "\nhardening    {} of 100", assessment.score);
    for check in &assessment.checks {
        let _ = writeln!(out, "{}", check_line(check));
    }
    out
}

fn go_rows(go: &GoInfo, row: &mut impl FnMut(&str, String)) {
    row("go", go.version.clone());
    if let Some(package) = &go.package {
        row("package", package.clone());
    }
    if let Some(main) = &go.main {
        row("main module", module(main));
    }
    row("modules", go.modules.len().to_string());
    for dependency in go.modules.iter().take(MODULES) {
        row("", module(dependency));
    }
    if go.modules.len() > MODULES {
        row("", format!("… and {} more, see --json", go.modules.len() - MODULES));
    }
    let settings = go.settings.iter().map(|(name, value)| format!("{name}={}", shortened(value)));
    for (number, setting) in settings.enumerate() {
        row(if number == 0 { "settings" } else { "" }, setting);
    }
}

/// `DefaultGODEBUG` of a module with an old `go` line runs over many screens.
fn shortened(value: &str) -> std::borrow::Cow<'_, str> {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}… (see --json)", &value[..end]).into(),
        None => value.into(),
    }
}

fn module(module: &Module) -> String {
    let own = [&module.path, &module.version, &module.sum].map(String::as_str).join(" ");
    match &module.replace {
        Some(by) => format!(
            "{} => {}",
            own.trim_end(),
            [&by.path, &by.version, &by.sum].map(String::as_str).join(" ").trim_end()
        ),
        None => own.trim_end().to_owned(),
    }
}

fn container_rows(facts: &Inspection, row: &mut impl FnMut(&str, String)) {
    let linkage = &facts.linkage;
    let kind = match linkage.kind {
        Kind::Executable => "executable at a fixed address",
        Kind::PositionIndependent => "position-independent executable",
        Kind::SharedLibrary => "shared library",
        Kind::Other => "not an executable",
    };
    let how = if linkage.static_linked { "static" } else { "dynamic" };
    row("linked", format!("{kind}, {how}"));
    if let Some(interpreter) = &linkage.interpreter {
        row("loader", interpreter.clone());
    }
    if !linkage.needed.is_empty() {
        row("libraries", linkage.needed.join(", "));
    }
    let memory = &facts.memory;
    let relro = match memory.relro {
        None => "-",
        Some(Relro::None) => "none",
        Some(Relro::Partial) => "partial",
        Some(Relro::Full) => "full",
    };
    let nx = match memory.nx_stack {
        NxStack::Yes => "yes",
        NxStack::No => "no",
        NxStack::Unstated => "not stated",
    };
    let both =
        if memory.write_execute.is_empty() { "none".to_owned() } else { memory.write_execute.join(", ") };
    row("memory", format!("RELRO {relro}, NX {nx}, writable and executable: {both}"));
    if let Some(pe) = facts.pe {
        let flags = [
            (pe.dynamic_base, "ASLR"),
            (pe.high_entropy_va, "high-entropy"),
            (pe.nx_compat, "DEP"),
            (pe.guard_cf, "CFG"),
            (pe.authenticode, "signature attached"),
        ];
        let set: Vec<&str> = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
        row("pe flags", set.join(", "));
    }
    let said = |fact: Option<bool>| fact.map_or("unknown", |yes| if yes { "yes" } else { "no" });
    row("cgo", format!("enabled {}, linked in {}", said(facts.cgo.enabled), said(facts.cgo.linked)));
    for (name, id) in [("go id", &facts.build_ids.go), ("gnu id", &facts.build_ids.gnu)] {
        if let Some(id) = id {
            row(name, id.clone());
        }
    }
}

fn symbol_rows(facts: &Inspection, row: &mut impl FnMut(&str, String)) {
    match (&facts.function_table, &facts.function_table_error) {
        (Some(table), _) => row(
            "functions",
            format!("{} (table of Go {}, code at {})", table.functions, table.layout, table.text),
        ),
        (None, error) => row("functions", error.clone().unwrap_or_default()),
    }
    let symbols = &facts.symbols;
    let stripped = if symbols.stripped { "stripped" } else { "not stripped" };
    let dwarf = if symbols.dwarf { "DWARF present" } else { "no DWARF" };
    let cost = grouped(symbols.removable_bytes);
    row("symbols", format!("{stripped}, {dwarf}; {cost} bytes could be left out"));
    for section in &symbols.sections {
        let purpose = match section.purpose {
            gobinary::Purpose::Symbols => "symbols",
            gobinary::Purpose::Debug => "debug",
            gobinary::Purpose::Runtime => "needed by the runtime",
        };
        row("", format!("{:<26} {:>12}  {purpose}", section.name, grouped(section.bytes)));
    }
}

fn check_line(check: &Check) -> String {
    let mark = match check.status {
        Status::Holds => "yes",
        Status::Fails => "no",
        Status::NotApplicable => "-",
        Status::Unknown => "?",
    };
    let weight = if check.weight == 0 { "remark".to_owned() } else { check.weight.to_string() };
    let mut line = format!("  {mark:<3} {weight:>6}  {:<22} {}", check.id, printable(&check.seen));
    if let Some(mend) = check.mend {
        let _ = write!(line, "\n{:<14}{}; mend: {mend}", "", check.meaning);
    }
    line
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let (first, rest) = digits.split_at(head);
    let groups = rest.as_bytes().chunks(3).map(String::from_utf8_lossy);
    let first = (!first.is_empty()).then(|| first.into());
    first.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 12, 123, 1234, 1_234_567].map(grouped), ["0", "12", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(printable("main.\u{1b}[2J"), "main.\\u{1b}[2J");
        assert_eq!(printable("main.(*T).f"), "main.(*T).f");
    }
}
