//! The facts of `custody inspect` as people read them: two columns, understood without colour.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use gobinary::hardening::{Assessment, Check, Status};
use gobinary::{GoInfo, Inspection, Kind, Module, NxStack, Purpose, Relro};

/// Modules listed; `--json` has all.
const MODULES: usize = 20;

/// Names come from the file: what would steer a terminal is shown escaped.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) { text.escape_debug().to_string().into() } else { text.into() }
}

/// Everything but the functions.
pub(super) fn facts(path: &Path, facts: &Inspection, assessment: &Assessment) -> String {
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
fn shortened(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}… (see --json)", &value[..end]).into(),
        None => value.into(),
    }
}

fn module(module: &Module) -> String {
    let words = |m: &Module| [m.path.as_str(), &m.version, &m.sum].join(" ").trim_end().to_owned();
    match &module.replace {
        Some(by) => format!("{} => {}", words(module), words(by)),
        None => words(module),
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
    memory_rows(facts, row);
    let said = |fact: Option<bool>| fact.map_or("unknown", |yes| if yes { "yes" } else { "no" });
    row("cgo", format!("enabled {}, linked in {}", said(facts.cgo.enabled), said(facts.cgo.linked)));
    let ids = &facts.build_ids;
    for (name, id) in [("go id", &ids.go), ("gnu id", &ids.gnu), ("uuid", &ids.uuid)] {
        if let Some(id) = id {
            row(name, id.clone());
        }
    }
}

fn memory_rows(facts: &Inspection, row: &mut impl FnMut(&str, String)) {
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
    let both = memory.write_execute.join(", ");
    let both = if both.is_empty() { "none" } else { &both };
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
}

fn symbol_rows(facts: &Inspection, row: &mut impl FnMut(&str, String)) {
    match (&facts.function_table, &facts.function_table_error) {
        (Some(table), _) => row(
            "functions",
            format!(
                "{} (table of Go {}{}, code at {})",
                table.functions,
                table.layout,
                altered(table.altered),
                table.text
            ),
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
            Purpose::Symbols => "symbols",
            Purpose::Debug => "debug",
            Purpose::Runtime => "needed by the runtime",
        };
        row("", format!("{:<26} {:>12}  {purpose}", section.name, grouped(section.bytes)));
    }
}

fn altered(altered: bool) -> &'static str {
    if altered { ", its magic altered" } else { "" }
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
pub(super) fn grouped(number: u64) -> String {
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
