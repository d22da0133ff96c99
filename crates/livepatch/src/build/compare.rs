//! Which functions differ, exactly: code byte for byte but for the operands that name addresses, and those by what they
//! name. A link moves everything, so two addresses are the same when function and offset, variable and offset, type,
//! interface table, or the content of the constant are the same.
//!
//! Where a choice is left, a function is called changed: patching an unchanged one is harmless, missing a changed one is
//! not. The one place where it is not so: a constant without a symbol reaches to the next address that anything names,
//! in the build where that is nearer; see docs/design/0026.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::code;
use super::describe::Descriptions;
use super::program::{Code, Place, Program, Variable};
use crate::error::{Error, Result};

/// A function that both builds have under one name.
#[derive(Debug)]
pub(crate) struct Change {
    pub old: usize,
    pub new: usize,
    pub why: String,
    /// Why calls that find the old function are not led to the new one, if they are not.
    pub kept: Option<String>,
}

/// What differs.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    pub changed: Vec<Change>,
    /// Functions that only the new build has.
    pub added: Vec<usize>,
    /// Variables of the new build that the old one does not share.
    pub fresh: HashSet<&'a str>,
}

pub(crate) struct Pair<'p, 'a> {
    pub old: &'p Program<'a>,
    pub new: &'p Program<'a>,
    /// Functions whose old and new form live side by side: naming one is not naming the other.
    apart: HashSet<&'a str>,
    fresh: HashSet<&'a str>,
    known: RefCell<HashMap<(u64, u64), bool>>,
}

/// Compares two builds.
pub(crate) fn compare<'a>(
    old: &Program<'a>,
    new: &Program<'a>,
    descriptions: (&Descriptions, &Descriptions),
) -> Result<Comparison<'a>> {
    let mut pair = Pair { old, new, apart: HashSet::new(), fresh: HashSet::new(), known: RefCell::default() };
    pair.fresh.extend(
        new.variables.iter().filter(|v| !old.variable_by_name.contains_key(&v.key())).map(|v| v.name),
    );
    // Keeping a function or a variable apart changes whoever names it, so it is repeated until nothing is added.
    loop {
        pair.known.borrow_mut().clear();
        let unsettled = pair.fresh_variables()?;
        let changed = pair.changed(descriptions);
        let apart: HashSet<&'a str> =
            changed.iter().filter(|c| c.kept.is_some()).map(|c| new.functions[c.new].name).collect();
        if !unsettled && apart.is_subset(&pair.apart) {
            pair.check_variables()?;
            let added = (0..new.functions.len())
                .filter(|at| !old.by_name.contains_key(&new.functions[*at].key()))
                .collect();
            return Ok(Comparison { changed, added, fresh: pair.fresh });
        }
        pair.apart.extend(apart);
    }
}

impl<'a> Pair<'_, 'a> {
    fn changed(&self, descriptions: (&Descriptions, &Descriptions)) -> Vec<Change> {
        let mut changed = Vec::new();
        for (at, code) in self.new.functions.iter().enumerate() {
            let Some(&before) = self.old.by_name.get(&code.key()) else { continue };
            if let Err(why) = self.same_code(&self.old.functions[before], code) {
                changed.push(Change { old: before, new: at, why, kept: None });
            }
        }
        let renumbered = self.renumbered(&changed);
        for change in &mut changed {
            change.kept = self.why_kept(change, &renumbered, descriptions);
        }
        changed
    }

    /// The functions whose closures were numbered anew: an old closure has a twin under another number.
    fn renumbered(&self, changed: &[Change]) -> HashSet<String> {
        let mut found = HashSet::new();
        for change in changed {
            let name = self.new.functions[change.new].name;
            let Some(root) = closure_root(name) else { continue };
            let count = |program: &Program<'_>| {
                program.functions.iter().filter(|f| closure_root(f.name) == Some(root)).count()
            };
            let twin = self.new.functions.iter().any(|other| {
                other.name != name
                    && closure_root(other.name) == Some(root)
                    && self.same_code(&self.old.functions[change.old], other).is_ok()
            });
            if twin || count(self.old) != count(self.new) {
                found.insert(root.to_owned());
            }
        }
        found
    }

    fn why_kept(
        &self,
        change: &Change,
        renumbered: &HashSet<String>,
        descriptions: (&Descriptions, &Descriptions),
    ) -> Option<String> {
        let (old, new) = (&self.old.functions[change.old], &self.new.functions[change.new]);
        if let Some(root) = closure_root(new.name) {
            if renumbered.contains(root) {
                return Some(format!(
                    "closures of `{root}` were numbered anew; those that exist keep their code"
                ));
            }
            if code::takes_context(old.bytes, old.entry) || code::takes_context(new.bytes, new.entry) {
                return Some("closures that exist keep their captured variables and their code".to_owned());
            }
        }
        let signature = |of: &Descriptions| of.signatures.get(new.name).cloned();
        match signature(descriptions.0) == signature(descriptions.1) {
            true => None,
            false => Some("its signature changed; its callers are patched".to_owned()),
        }
    }

    /// Compiler-made variables that are the same in name only: fresh ones. Was any added?
    fn fresh_variables(&mut self) -> Result<bool> {
        let mut added = Vec::new();
        for variable in &self.new.variables {
            let Some(&at) = self.old.variable_by_name.get(&variable.key()) else { continue };
            if is_numbered(variable.name)
                && !self.fresh.contains(variable.name)
                && !self.same_variable(&self.old.variables[at], variable)
            {
                added.push(variable.name);
            }
        }
        self.fresh.extend(&added);
        Ok(!added.is_empty())
    }

    /// Variables that both builds have keep their state, so they must begin with one value.
    fn check_variables(&self) -> Result<()> {
        for variable in &self.new.variables {
            let name = variable.name;
            if self.fresh.contains(name) {
                if name.ends_with("..inittask") {
                    let package = name.trim_end_matches("..inittask");
                    return Err(Error::refused(
                        format!("package `{package}`"),
                        "it is new and has to be initialised",
                    ));
                }
                continue;
            }
            let Some(&at) = self.old.variable_by_name.get(&variable.key()) else { continue };
            let before = &self.old.variables[at];
            if is_linkers(name) {
                continue;
            }
            if before.size != variable.size {
                return Err(Error::refused(format!("variable `{name}`"), "its size changed"));
            }
            if !self.same_variable(before, variable) {
                return Err(Error::refused(format!("variable `{name}`"), "its initial value changed"));
            }
        }
        Ok(())
    }

    fn same_variable(&self, old: &Variable<'_>, new: &Variable<'_>) -> bool {
        if old.size != new.size {
            return false;
        }
        match (self.old.bytes(old.address, old.size), self.new.bytes(new.address, new.size)) {
            (Some(a), Some(b)) => self.same_bytes((a, old.address), (b, new.address)),
            (None, Some(bytes)) | (Some(bytes), None) => bytes.iter().all(|b| *b == 0),
            (None, None) => true,
        }
    }

    /// Equal, or the first difference in words.
    pub(crate) fn same_code(&self, old: &Code<'_>, new: &Code<'_>) -> std::result::Result<(), String> {
        if old.bytes.len() != new.bytes.len() {
            return Err(format!("{} bytes of code became {}", old.bytes.len(), new.bytes.len()));
        }
        if old.references.len() != new.references.len() {
            return Err("instructions differ".to_owned());
        }
        let mut from = 0;
        for (a, b) in old.references.iter().zip(&new.references) {
            if (a.at, a.width, a.next) != (b.at, b.width, b.next)
                || old.bytes[from..a.at] != new.bytes[from..b.at]
            {
                return Err("instructions differ".to_owned());
            }
            from = a.at + usize::from(a.width);
            let inside = |code: &Code<'_>, target: u64| (code.entry..code.end()).contains(&target);
            let same = match (inside(old, a.target), inside(new, b.target)) {
                (true, true) => a.target - old.entry == b.target - new.entry,
                // One release has one runtime: its constants, which have no sizes, need no comparison.
                (false, false) if super::is_runtime(new.name) && self.are_constants(a.target, b.target) => {
                    true
                }
                (false, false) => self.same(a.target, b.target),
                _ => false,
            };
            if !same {
                return Err(format!(
                    "at +{:#x} it names {} instead of {}",
                    b.at,
                    name(self.new, b.target),
                    name(self.old, a.target)
                ));
            }
        }
        match old.bytes[from..] == new.bytes[from..] {
            true => Ok(()),
            false => Err("instructions differ".to_owned()),
        }
    }

    /// Do two addresses, one of each build, mean the same?
    pub(crate) fn same(&self, old: u64, new: u64) -> bool {
        if let Some(known) = self.known.borrow().get(&(old, new)) {
            return *known;
        }
        // Constants may name each other in circles: until shown otherwise, the same.
        self.known.borrow_mut().insert((old, new), true);
        let same = match (self.old.place(old), self.new.place(new)) {
            (Place::Code(a, at), Place::Code(b, bt)) => {
                let key = self.new.functions[b].key();
                self.old.functions[a].key() == key && at == bt && !self.apart.contains(key.0)
            }
            (Place::Variable(a, at), Place::Variable(b, bt)) => {
                let (a, b) = (&self.old.variables[a], &self.new.variables[b]);
                let numbered = is_numbered(a.name) && is_numbered(b.name);
                let one = a.key() == b.key() && !self.fresh.contains(b.name);
                at == bt && (one || numbered && self.same_variable(a, b))
            }
            (Place::Type, Place::Type) => {
                let place = self.old.types.locate(self.old, old);
                place.is_some() && place == self.new.types.locate(self.new, new)
            }
            (Place::InterfaceTable(a, at), Place::InterfaceTable(b, bt)) => {
                let pair =
                    |of: &Program<'_>, table| of.interface_tables().get(&table).map(|t| t.pair.clone());
                pair(self.old, a) == pair(self.new, b) && at == bt
            }
            (Place::Constant, Place::Constant) | (Place::Unnamed, Place::Unnamed) => {
                self.same_constant(old, new)
            }
            (Place::Foreign(_), Place::Foreign(place)) => {
                self.old.foreign.lead(&self.new.foreign, place) == Some(old)
            }
            // What a composite literal of zeros points to has no symbol and no bytes, and is zero in both.
            (Place::Nowhere, Place::Nowhere) => {
                self.same_mark(old, new) || (self.old.is_zeroed(old) && self.new.is_zeroed(new))
            }
            _ => false,
        };
        self.known.borrow_mut().insert((old, new), same);
        same
    }

    fn are_constants(&self, old: u64, new: u64) -> bool {
        self.old.place(old) == Place::Constant && self.new.place(new) == Place::Constant
    }

    /// A function value without captured variables is one word, the function's entry; nothing else holds an entry.
    fn same_function_value(&self, old: u64, new: u64) -> Option<bool> {
        let (old, new) = (self.old.word(old)?, self.new.word(new)?);
        match (self.old.place(old), self.new.place(new)) {
            (Place::Code(_, 0), Place::Code(_, 0)) => Some(self.same(old, new)),
            _ => None,
        }
    }

    fn same_constant(&self, old: u64, new: u64) -> bool {
        if let Some(same) = self.same_function_value(old, new) {
            return same;
        }
        let size = self.old.extent(old).min(self.new.extent(new));
        match (self.old.bytes(old, size), self.new.bytes(new, size)) {
            (Some(a), Some(b)) => self.same_bytes((a, old), (b, new)),
            _ => false,
        }
    }

    /// Ends of the image's parts, which only the runtime names.
    fn same_mark(&self, old: u64, new: u64) -> bool {
        let marks = [
            "text",
            "etext",
            "noptrdata",
            "enoptrdata",
            "data",
            "edata",
            "bss",
            "ebss",
            "noptrbss",
            "enoptrbss",
            "end",
        ];
        marks.iter().any(|mark| {
            self.old.module_word(mark).ok() == Some(old) && self.new.module_word(mark).ok() == Some(new)
        })
    }

    /// Bytes that may hold addresses: words at multiples of eight are equal, or mean the same.
    fn same_bytes(&self, old: (&[u8], u64), new: (&[u8], u64)) -> bool {
        if old.0 == new.0 && !self.could_name(old.0) {
            return true;
        }
        if old.1 % 8 != new.1 % 8 {
            return old.0 == new.0;
        }
        let head = usize::try_from((8 - old.1 % 8) % 8).unwrap_or(0).min(old.0.len());
        if old.0[..head] != new.0[..head] {
            return false;
        }
        let chunks = old.0[head..].chunks(8).zip(new.0[head..].chunks(8));
        let places = (head as u64..).step_by(8);
        chunks.zip(places).all(|((a, b), at)| {
            match (self.old.pointer(old.1 + at), self.new.pointer(new.1 + at)) {
                (Some(a), Some(b)) => self.same(a, b),
                _ => a == b,
            }
        })
    }

    fn could_name(&self, bytes: &[u8]) -> bool {
        bytes.len() >= 8
    }
}

/// What stands at an address, for people.
pub(crate) fn name(program: &Program<'_>, address: u64) -> String {
    match program.place(address) {
        Place::Code(at, _) => format!("`{}`", program.functions[at].name),
        Place::Variable(at, _) => format!("`{}`", program.variables[at].name),
        Place::Type => match program.types.key(program, address) {
            Some(key) => format!("type `{}`", key.text),
            None => "a part of a type".to_owned(),
        },
        Place::InterfaceTable(..) => "an interface table".to_owned(),
        Place::Constant => {
            let bytes = program.bytes(address, program.extent(address).min(24)).unwrap_or_default();
            match std::str::from_utf8(bytes) {
                Ok(text) if !text.is_empty() && !text.contains(char::is_control) => {
                    format!("the constant {text:?}")
                }
                _ => "a constant".to_owned(),
            }
        }
        Place::Foreign(_) => "C code".to_owned(),
        Place::Unnamed => "data without a symbol".to_owned(),
        Place::Nowhere => format!("{address:#x}"),
    }
}

/// The function that a closure, or a wrapper made for `go`, `defer` or a method value, was written in.
pub(crate) fn closure_root(name: &str) -> Option<&str> {
    const MARKS: [&str; 4] = [".func", ".gowrap", ".deferwrap", "-range"];
    if let Some(root) = name.strip_suffix("-fm") {
        return Some(root);
    }
    let at = MARKS
        .iter()
        .flat_map(|mark| name.match_indices(mark))
        .filter(|(at, mark)| name[at + mark.len()..].starts_with(|c: char| c.is_ascii_digit()));
    at.map(|(at, _)| at).min().map(|at| &name[..at])
}

/// Variables that the compiler numbers within a package or a function: the number is no identity.
fn is_numbered(name: &str) -> bool {
    ["..stmp_", "..typeAssert.", "..interfaceSwitch.", "..dict."].iter().any(|mark| name.contains(mark))
}

/// Variables that the linker fills with facts of this one link.
fn is_linkers(name: &str) -> bool {
    ["runtime.", "go:", "crypto/internal/fips140/check.", "internal/runtime/"]
        .iter()
        .any(|p| name.starts_with(p))
}

#[cfg(test)]
mod tests {
    use super::closure_root;

    #[test]
    fn closures_are_told_by_their_names() {
        assert_eq!(closure_root("main.f.func1"), Some("main.f"));
        assert_eq!(closure_root("main.f.func1.2.gowrap3"), Some("main.f"));
        assert_eq!(closure_root("main.(*T).M-fm"), Some("main.(*T).M"));
        assert_eq!(closure_root("main.f-range1"), Some("main.f"));
        assert_eq!(closure_root("main.functions"), None);
        assert_eq!(closure_root("main.glob..func2"), Some("main.glob."));
    }
}
