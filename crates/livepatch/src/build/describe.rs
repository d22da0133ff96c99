//! What the debugging data says of types and signatures: the layout of every named type, the parameters and results of
//! every function. A type that never became an interface has no descriptor, but it has this.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use goproc::elf::{Dwarf, Executable, string};

use crate::error::{Error, Result};

/// By name.
#[derive(Default, Debug)]
pub(crate) struct Descriptions {
    /// Every type: kind, size, fields with offsets and the names of their types.
    /// A name may stand for several: types written inside functions.
    pub types: BTreeMap<String, BTreeSet<String>>,
    /// Every function: the types of its parameters, `>` before those of results.
    pub signatures: HashMap<String, String>,
    /// Every variable: its type.
    pub variables: HashMap<String, String>,
}

#[derive(Default)]
struct Entry {
    name: Option<String>,
    is_type: bool,
    is_function: bool,
    is_variable: bool,
    form: String,
    of: Option<usize>,
    origin: Option<usize>,
    /// Fields or parameters: a prefix and the entry of the type.
    parts: Vec<(String, Option<usize>)>,
    /// Names of the results so far.
    results: Vec<String>,
}

impl Descriptions {
    pub(crate) fn of(which: &'static str, bytes: &[u8]) -> Result<Self> {
        let unreadable = |source| Error::Unreadable { which, source };
        let dwarf = Executable::parse(bytes).and_then(|e| e.dwarf()).map_err(unreadable)?;
        let entries = read(&dwarf).map_err(|e| Error::Contradicts {
            what: format!("the debugging data of the {which} build cannot be read: {e}"),
        })?;
        let named = |of: Option<usize>| of.and_then(|of| entries.get(&of)?.name.as_deref()).unwrap_or("?");
        let mut found = Self::default();
        for entry in entries.values() {
            // What was inlined somewhere is described once, and its own code names that description.
            let origin = entry.origin.and_then(|origin| entries.get(&origin)).unwrap_or(entry);
            let Some(name) = &origin.name else { continue };
            let parts: Vec<String> =
                origin.parts.iter().map(|(prefix, of)| format!("{prefix}{}", named(*of))).collect();
            if entry.is_type {
                found.types.entry(name.clone()).or_default().insert(format!(
                    "{} {} {{{}}}",
                    entry.form,
                    named(entry.of),
                    parts.join("; ")
                ));
            } else if entry.is_function {
                found.signatures.insert(name.clone(), parts.join(", "));
            } else if entry.is_variable {
                found.variables.insert(name.clone(), named(entry.of).to_owned());
            }
        }
        Ok(found)
    }
}

fn read(dwarf: &Dwarf) -> gimli::Result<HashMap<usize, Entry>> {
    let mut found: HashMap<usize, Entry> = HashMap::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let base = |offset: gimli::UnitOffset| offset.to_debug_info_offset(&unit.header).map(|o| o.0);
        let mut entries = unit.entries();
        let mut parent: Option<usize> = None;
        while let Some(die) = entries.next_dfs()? {
            let reference = |which| match die.attr_value(which) {
                Some(gimli::AttributeValue::UnitRef(offset)) => base(offset),
                Some(gimli::AttributeValue::DebugInfoRef(offset)) => Some(offset.0),
                _ => None,
            };
            let number = |which| die.attr_value(which).and_then(|v| v.udata_value());
            let tag = die.tag();
            // C has names of its own, and is compared by its code.
            if let Some(gimli::AttributeValue::Language(language)) = die.attr_value(gimli::DW_AT_language)
                && language != gimli::DW_LANG_Go
            {
                break;
            }
            match tag {
                gimli::DW_TAG_member => {
                    let name = string(dwarf, &unit, die, gimli::DW_AT_name)?.unwrap_or_default();
                    let at = number(gimli::DW_AT_data_member_location).unwrap_or(0);
                    if let Some(parent) = parent.and_then(|p| found.get_mut(&p)) {
                        parent.parts.push((format!("{at} {name} "), reference(gimli::DW_AT_type)));
                    }
                }
                gimli::DW_TAG_subrange_type => {
                    if let Some(parent) = parent.and_then(|p| found.get_mut(&p)) {
                        parent.parts.push((format!("{:?} ", number(gimli::DW_AT_count)), None));
                    }
                }
                gimli::DW_TAG_formal_parameter => {
                    let result = matches!(
                        die.attr_value(gimli::DW_AT_variable_parameter),
                        Some(gimli::AttributeValue::Flag(true))
                    );
                    let prefix = if result { ">" } else { "" };
                    let name = string(dwarf, &unit, die, gimli::DW_AT_name)?.unwrap_or_default();
                    if let Some(parent) = parent.and_then(|p| found.get_mut(&p)).filter(|p| p.is_function) {
                        // A function that defers has its results twice: where they are returned, and on its stack.
                        if result && name != "_" && parent.results.contains(&name) {
                            continue;
                        }
                        if result {
                            parent.results.push(name);
                        }
                        parent.parts.push((prefix.to_owned(), reference(gimli::DW_AT_type)));
                    }
                }
                gimli::DW_TAG_structure_type
                | gimli::DW_TAG_base_type
                | gimli::DW_TAG_typedef
                | gimli::DW_TAG_array_type
                | gimli::DW_TAG_pointer_type
                | gimli::DW_TAG_subprogram
                | gimli::DW_TAG_subroutine_type => {
                    let Some(offset) = base(die.offset()) else { continue };
                    let entry = Entry {
                        name: string(dwarf, &unit, die, gimli::DW_AT_name)?,
                        is_type: tag != gimli::DW_TAG_subprogram,
                        is_function: tag == gimli::DW_TAG_subprogram,
                        is_variable: false,
                        form: format!(
                            "{tag} {:?} {:?}",
                            number(gimli::DW_AT_byte_size),
                            number(gimli::DW_AT_encoding)
                        ),
                        of: reference(gimli::DW_AT_type),
                        origin: reference(gimli::DW_AT_abstract_origin),
                        parts: Vec::new(),
                        results: Vec::new(),
                    };
                    found.insert(offset, entry);
                    parent = Some(offset);
                }
                // Package variables are direct children of their unit; what is deeper is local to a function.
                gimli::DW_TAG_variable if die.depth() == 1 => {
                    let name = string(dwarf, &unit, die, gimli::DW_AT_name)?;
                    if let (Some(name), Some(offset)) = (name, base(die.offset())) {
                        let of = reference(gimli::DW_AT_type);
                        found.insert(
                            offset,
                            Entry { name: Some(name), is_variable: true, of, ..Entry::default() },
                        );
                    }
                }
                gimli::DW_TAG_inlined_subroutine | gimli::DW_TAG_lexical_block => parent = None,
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Values of a type that both builds have live on, so it must be laid out as before; and so must variables.
pub(crate) fn check(old: &Descriptions, new: &Descriptions) -> Result<()> {
    for (name, after) in &new.types {
        let Some(before) = old.types.get(name) else { continue };
        // A closure's own record belongs to the closure that made it: old ones keep their code. Parameters of generic
        // functions are numbered, and stand for types that are compared themselves.
        if !after.is_subset(before) && !name.starts_with("struct { F uintptr") && !name.starts_with(".param")
        {
            return Err(Error::refused(
                format!("type `{name}`"),
                "its layout changed, and values of it live in the process",
            ));
        }
    }
    for (name, of) in &new.variables {
        if old.variables.get(name).is_some_and(|before| before != of) {
            return Err(Error::refused(format!("variable `{name}`"), "its type changed"));
        }
    }
    Ok(())
}
