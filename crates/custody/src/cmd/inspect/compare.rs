//! `custody inspect A --compare B`: two builds of one program side by side.

use std::fmt::Write as _;
use std::path::Path;

use gobinary::sparse::Need;
use gobinary::{Binary, Change, Comparison, FunctionChanges};

use super::text::{grouped, printable};
use crate::failure::Outcome;
use crate::output::Output;

/// Changed settings are cut to so many characters; `--json` has them whole.
const WIDTH: usize = 60;

pub(super) fn run(a: (&Path, &Binary<'_>), other: &Path, output: Output) -> Outcome {
    let bytes = super::read(other, Need::Everything)?;
    let b = Binary::parse(&bytes).map_err(|error| super::failure(other, error))?;
    let found = gobinary::compare(a.1, &b);
    output.show(&found, |found| text(a.0, other, found))
}

fn text(a: &Path, b: &Path, found: &Comparison) -> String {
    let mut out = format!("A  {}\nB  {}\n", a.display(), b.display());
    let same = if found.same_program { "the same program, built twice" } else { "different programs" };
    let twins = if found.twins { "; every function has the same code" } else { "" };
    let _ = writeln!(out, "   {same}{twins}\n");
    let _ = writeln!(out, "{:<28} {:>14} {:>14} {:>9}", "", "A", "B", "change");
    for measure in &found.measures {
        let (a, b) = (number(measure.id, measure.a), number(measure.id, measure.b));
        let share = share(measure.a, measure.b);
        let _ = writeln!(out, "{:<28} {a:>14} {b:>14} {share:>9}  {}", measure.id, measure.meaning);
    }
    if let Some(functions) = &found.functions {
        functions_text(&mut out, functions);
    }
    if !found.sections.is_empty() {
        let _ = writeln!(out, "\nsections");
        for section in &found.sections {
            let [a, b] = [section.a, section.b].map(|bytes| bytes.map_or_else(|| "-".to_owned(), grouped));
            let _ = writeln!(out, "{:<28} {a:>14} {b:>14}", printable(&section.name));
        }
    }
    changes(&mut out, "settings", &found.settings);
    changes(&mut out, "checks", &found.checks);
    out
}

/// A density is counted in hundredths, and read as a decimal.
fn number(id: &str, value: Option<u64>) -> String {
    match value {
        None => "?".to_owned(),
        Some(value) if id.ends_with("-hundredths") => format!("{}.{:02}", grouped(value / 100), value % 100),
        Some(value) => grouped(value),
    }
}

/// By how many tenths of a per cent B differs from A.
fn share(a: Option<u64>, b: Option<u64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a == b => "=".to_owned(),
        (Some(a), Some(b)) if a > 0 => {
            let tenths = (i128::from(b) - i128::from(a)) * 1000 / i128::from(a);
            let sign = if b < a { '-' } else { '+' };
            format!("{sign}{}.{}%", tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10)
        }
        _ => String::new(),
    }
}

fn functions_text(out: &mut String, functions: &FunctionChanges) {
    let _ = writeln!(
        out,
        "\nfunctions: {} in both, {} with the same code, {} of another size; {} only in A, {} only in B",
        functions.common, functions.same_code, functions.resized, functions.only_a, functions.only_b
    );
    for (build, names) in [("A", &functions.names_only_a), ("B", &functions.names_only_b)] {
        for name in names {
            let _ = writeln!(out, "  only in {build}: {}", printable(name));
        }
    }
}

fn changes(out: &mut String, title: &str, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    let shown = |value: &Option<String>| match value {
        None => "-".to_owned(),
        Some(value) => match value.char_indices().nth(WIDTH) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value.clone(),
        },
    };
    for change in changes {
        let (a, b) = (shown(&change.a), shown(&change.b));
        let _ = writeln!(out, "  {}: {} -> {}", printable(&change.name), printable(&a), printable(&b));
    }
}
