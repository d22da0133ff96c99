//! The lists of `custody inspect`: functions, types, symbols, imports, module data; one line each, or one document.

use std::fmt::Write as _;

use gobinary::sparse::Need;
use gobinary::{
    Binary, Binding, Detail, Error, Function, Imports, Itab, ModuleData, Symbol, SymbolKind, Type, Types,
};
use serde::Serialize;

use super::text::printable;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Which list, if any.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// List the functions of the runtime's table: address, size, name, source line
    #[arg(long, group = "list")]
    functions: bool,
    /// With --functions: frame, arguments, lines and inlined calls of each
    #[arg(long, requires = "functions")]
    detail: bool,
    /// List the runtime's types with their fields and methods, and which type implements which interface
    #[arg(long, group = "list")]
    types: bool,
    /// List the symbols of the file and of the loader's table
    #[arg(long, group = "list")]
    symbols: bool,
    /// List the slots through which code of libraries is called (GOT, PLT, IAT), and whether they can be redirected
    #[arg(long, group = "list")]
    got: bool,
    /// Show the runtime's module data: every field, where it stands and what the linker wrote there
    #[arg(long, group = "list")]
    module_data: bool,
}

impl Args {
    /// What of the file the list is made from.
    pub(super) fn need(&self) -> Need {
        match () {
            () if self.symbols => Need::Symbols,
            () if self.types || self.detail => Need::Facts,
            () if self.functions => Need::Functions,
            () => Need::Summary,
        }
    }

    pub(super) fn any(&self) -> bool {
        self.functions || self.types || self.symbols || self.got || self.module_data
    }
}

#[derive(Serialize)]
struct Functions<T> {
    functions: Vec<T>,
}

#[derive(Serialize)]
struct Detailed<'a> {
    #[serde(flatten)]
    function: Function<'a>,
    #[serde(flatten)]
    detail: Detail<'a>,
}

#[derive(Serialize)]
struct Symbols<'a> {
    symbols: Vec<Symbol<'a>>,
}

#[derive(Serialize)]
struct TypeList {
    types: Vec<Type>,
    itabs: Vec<Itab>,
}

pub(super) fn show(
    args: &Args,
    binary: &Binary<'_>,
    output: Output,
    failure: impl Fn(Error) -> Failure + Copy,
) -> Outcome {
    if args.symbols {
        let list = Symbols { symbols: binary.symbols().map_err(failure)? };
        return output.show(&list, |list| symbols(&list.symbols));
    }
    if args.types {
        let found = binary.types().map_err(failure)?;
        if !output.json {
            return output.text(&types(&found));
        }
        let (types, itabs) = found.into_parts();
        return output.json_line(&TypeList { types, itabs });
    }
    if args.got {
        return output.show(&binary.imports().map_err(failure)?, imports);
    }
    if args.module_data {
        return output.show(binary.module_data().map_err(failure)?, module_data);
    }
    let found = binary.functions().map_err(failure)?;
    if args.detail {
        let mut details = binary.details().map_err(failure)?;
        let detailed = found.into_iter().map(|function| {
            let detail = details.of(&function)?;
            Ok(Detailed { function, detail })
        });
        let list = Functions { functions: detailed.collect::<Result<_, _>>().map_err(failure)? };
        return output.show(&list, |list| detailed_functions(&list.functions));
    }
    output.show(&Functions { functions: found }, |list| functions(&list.functions))
}

fn functions(functions: &[Function<'_>]) -> String {
    let mut text = String::with_capacity(functions.len() * 96);
    functions.iter().for_each(|f| function(&mut text, f));
    text
}

fn function(text: &mut String, f: &Function<'_>) {
    let name = if f.name.is_empty() { "-".into() } else { printable(&f.name) };
    let _ = write!(text, "{:#012x} {:>8}  {name}  ", f.entry, f.size);
    let _ = match f.file.is_empty() {
        true => writeln!(text, "-"),
        false => writeln!(text, "{}:{}", printable(&f.file), f.line),
    };
}

fn detailed_functions(functions: &[Detailed<'_>]) -> String {
    let mut text = String::with_capacity(functions.len() * 192);
    for Detailed { function: f, detail } in functions {
        function(&mut text, f);
        let arguments = detail.arguments.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
        let _ = write!(text, "{:>23}frame {}, arguments {arguments}", "", detail.frame);
        if let Some((first, last)) = detail.lines {
            let _ = write!(text, ", lines {first}-{last}");
        }
        let marks = [
            (detail.assembly, "assembly"),
            (detail.top_frame, "outermost frame"),
            (detail.writes_stack_pointer, "sets the stack pointer"),
        ];
        marks.iter().filter(|mark| mark.0).for_each(|mark| {
            let _ = write!(text, ", {}", mark.1);
        });
        text.push('\n');
        for call in &detail.inlined {
            let _ = writeln!(text, "{:>23}inlined at +{:#x}: {}", "", call.call, printable(&call.name));
        }
    }
    text
}

fn types(types: &Types) -> String {
    let mut text = String::new();
    let name = |address: u64| types.at(address).map_or("?", |t| t.name.as_str());
    for t in types.all() {
        let _ = writeln!(text, "{:#012x} {:>8}  {}", t.address, t.size, printable(&t.qualified()));
        for field in &t.fields {
            let (own, of) = (printable(&field.name), printable(name(field.descriptor)));
            let _ = writeln!(text, "{:>23}+{:<4} {own} {of}", "", field.offset);
        }
        for method in &t.methods {
            let entry = method.entry.map_or_else(|| "-".to_owned(), |entry| format!("{entry:#x}"));
            let _ = writeln!(text, "{:>23}method {} {entry}", "", printable(&method.name));
        }
    }
    for itab in types.itabs() {
        let (of, asked) = (name(itab.implementation), name(itab.interface));
        let _ = writeln!(
            text,
            "{:#012x}           {} implements {}",
            itab.address,
            printable(of),
            printable(asked)
        );
    }
    text
}

fn symbols(symbols: &[Symbol<'_>]) -> String {
    let mut text = String::with_capacity(symbols.len() * 64);
    for s in symbols {
        let kind = match s.kind {
            SymbolKind::Code => "code",
            SymbolKind::Data => "data",
            SymbolKind::Undefined => "undefined",
            SymbolKind::Other => "other",
        };
        let table = if s.dynamic { "dynamic" } else { "" };
        let _ =
            writeln!(text, "{:#012x} {:>8}  {kind:<9} {table:<7}  {}", s.address, s.size, printable(&s.name));
    }
    text
}

fn imports(imports: &Imports) -> String {
    let mut text = String::new();
    let verdict = serde_json::to_value(imports.verdict).ok();
    let verdict = verdict.as_ref().and_then(|v| v.as_str()).unwrap_or_default();
    let _ = writeln!(text, "verdict      {verdict}: {}", imports.meaning);
    let count = imports.imports.len();
    let _ = writeln!(text, "imports      {count}, of which {} stay writable", imports.writable);
    for section in &imports.sections {
        let _ = writeln!(
            text,
            "section      {:<16} {:#012x} {:>8}",
            section.name, section.address, section.bytes
        );
    }
    for slot in &imports.imports {
        let binding = match slot.binding {
            Binding::Start => "at start",
            Binding::Lazy => "at the first call",
        };
        let writable = if slot.writable { "writable" } else { "read-only" };
        let library = slot.library.as_deref().unwrap_or_default();
        let section = slot.section.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "{:#012x} {section:<10} {:<15} {binding:<17} {writable:<9} {} {}",
            slot.slot,
            slot.relocation,
            printable(&slot.name),
            printable(library)
        );
    }
    text
}

fn module_data(module: &ModuleData) -> String {
    let layout = match module.layout {
        "unknown" => "the layout of no release known here".to_owned(),
        release => format!("layout of Go {release} and later"),
    };
    let mut text = format!(
        "module data at {:#x}, {} bytes, {layout} (by {})\n",
        module.address, module.bytes, module.layout_from
    );
    for field in &module.fields {
        let words: Vec<String> = field.words.iter().map(|word| format!("{word:#x}")).collect();
        let _ = writeln!(text, "{:>6}  {:<14} {}", field.offset, field.name, words.join(" "));
    }
    text
}
