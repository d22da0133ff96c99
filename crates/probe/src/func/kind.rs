//! What a value is made of, as far as a probe shows it: one level deep.

use std::collections::HashMap;

use gobinary::abi::Shape;
use gobinary::debug::DebugStructure;
use gobinary::{TypeKind, Types};

/// Fields of a structure that are shown.
const FIELDS: usize = 16;

/// A kind of value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer {
        signed: bool,
        bytes: u64,
    },
    Boolean,
    Float {
        bytes: u64,
    },
    String,
    /// Bytes of an element, and its kind where it is a number.
    Slice {
        element: u64,
        of: Option<Box<Kind>>,
    },
    /// What it points to, where that is a structure that is known.
    Pointer(Option<Box<Kind>>),
    /// With methods: the first word is an itab.
    Interface,
    /// Without: the first word is a type.
    Any,
    Structure {
        bytes: u64,
        fields: Vec<Field>,
    },
    /// A map, channel or function: its address.
    Address,
    Unknown,
}

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) offset: u64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The types of a binary, by name: debug data first for structures, since it has them all.
pub(crate) struct Kinds<'t> {
    types: Option<&'t Types>,
    structures: HashMap<&'t str, &'t DebugStructure>,
}

impl<'t> Kinds<'t> {
    pub(crate) fn new(types: Option<&'t Types>, structures: &'t [DebugStructure]) -> Self {
        Self { types, structures: structures.iter().map(|s| (s.name.as_str(), s)).collect() }
    }

    /// The kind of a parameter; its shape tells what the name does not.
    pub(crate) fn parameter(&self, name: &str, shape: Option<&Shape>) -> Kind {
        match (self.named(name, 2), shape) {
            (Kind::Unknown, Some(Shape::Integer { bytes })) => Kind::Integer { signed: true, bytes: *bytes },
            (Kind::Unknown, Some(Shape::Float { bytes })) => Kind::Float { bytes: *bytes },
            (Kind::Unknown, Some(Shape::Pointer)) => Kind::Address,
            (kind, _) => kind,
        }
    }

    /// The kind of a name, `deep` levels of structures and pointers down.
    fn named(&self, name: &str, deep: u32) -> Kind {
        if let Some(kind) = basic(name) {
            return kind;
        }
        if let Some(element) = name.strip_prefix("[]") {
            let of = self.named(element, 0);
            let bytes = size(&of);
            let number = matches!(of, Kind::Integer { .. } | Kind::Boolean | Kind::Float { .. });
            return Kind::Slice { element: bytes.unwrap_or(0), of: number.then(|| Box::new(of)) };
        }
        if let Some(to) = name.strip_prefix('*') {
            let structure = |kind: &Kind| matches!(kind, Kind::Structure { .. });
            return Kind::Pointer(
                (deep > 0).then(|| self.named(to, deep - 1)).filter(structure).map(Box::new),
            );
        }
        if ["map[", "chan ", "<-chan ", "chan<- ", "func("].iter().any(|prefix| name.starts_with(prefix)) {
            return Kind::Address;
        }
        if name == "error" {
            return Kind::Interface;
        }
        if ["interface {}", "any"].contains(&name) {
            return Kind::Any;
        }
        self.declared(name, deep)
    }

    fn declared(&self, name: &str, deep: u32) -> Kind {
        let known = self.types.and_then(|types| types.named(name));
        if let Some(known) = known
            && let Some(kind) = plain(known.kind, known.size, !known.methods.is_empty())
        {
            return kind;
        }
        match self.structures.get(name) {
            // Interfaces are pairs of words in debug data.
            Some(s) if s.fields.first().is_some_and(|f| f.1 == "tab") => Kind::Interface,
            Some(s) if s.fields.first().is_some_and(|f| f.1 == "_type") => Kind::Any,
            Some(s) if s.fields.first().is_some_and(|f| f.1 == "str") => Kind::String,
            Some(s) if deep > 0 => {
                let field = |(offset, name, kind): &(u64, String, String)| Field {
                    offset: *offset,
                    name: name.clone(),
                    kind: self.named(kind, deep - 1),
                };
                Kind::Structure { bytes: s.bytes, fields: s.fields.iter().take(FIELDS).map(field).collect() }
            }
            _ => Kind::Unknown,
        }
    }
}

fn basic(name: &str) -> Option<Kind> {
    let integer = |signed, bytes| Some(Kind::Integer { signed, bytes });
    match name {
        "int" | "int64" => integer(true, 8),
        "int32" | "rune" => integer(true, 4),
        "int16" => integer(true, 2),
        "int8" => integer(true, 1),
        "uint" | "uint64" | "uintptr" => integer(false, 8),
        "uint32" => integer(false, 4),
        "uint16" => integer(false, 2),
        "uint8" | "byte" => integer(false, 1),
        "bool" => Some(Kind::Boolean),
        "float64" => Some(Kind::Float { bytes: 8 }),
        "float32" => Some(Kind::Float { bytes: 4 }),
        "string" => Some(Kind::String),
        "unsafe.Pointer" => Some(Kind::Address),
        _ => None,
    }
}

/// What a declared type is made as, where that says all.
fn plain(kind: TypeKind, bytes: u64, methods: bool) -> Option<Kind> {
    use TypeKind as K;
    Some(match kind {
        K::Bool => Kind::Boolean,
        K::Int | K::Int8 | K::Int16 | K::Int32 | K::Int64 => Kind::Integer { signed: true, bytes },
        K::Uint | K::Uint8 | K::Uint16 | K::Uint32 | K::Uint64 | K::Uintptr => {
            Kind::Integer { signed: false, bytes }
        }
        K::Float32 | K::Float64 => Kind::Float { bytes },
        K::String => Kind::String,
        K::Chan | K::Func | K::Map | K::UnsafePointer => Kind::Address,
        K::Interface if methods => Kind::Interface,
        K::Interface => Kind::Any,
        _ => return None,
    })
}

/// Bytes of a value of a kind that has a size of its own.
fn size(kind: &Kind) -> Option<u64> {
    Some(match kind {
        Kind::Integer { bytes, .. } | Kind::Float { bytes } | Kind::Structure { bytes, .. } => *bytes,
        Kind::Boolean => 1,
        Kind::String | Kind::Interface | Kind::Any => 16,
        Kind::Slice { .. } => 24,
        Kind::Pointer(_) | Kind::Address => 8,
        Kind::Unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_values_are() {
        let structures = [
            DebugStructure {
                name: "main.Order".to_owned(),
                bytes: 24,
                fields: vec![
                    (0, "ID".to_owned(), "int64".to_owned()),
                    (8, "Next".to_owned(), "*main.Order".to_owned()),
                ],
            },
            DebugStructure {
                name: "runtime.iface".to_owned(),
                bytes: 16,
                fields: vec![(0, "tab".to_owned(), "*runtime.itab".to_owned())],
            },
        ];
        let kinds = Kinds::new(None, &structures);
        let number = Kind::Integer { signed: false, bytes: 1 };
        assert_eq!(kinds.parameter("[]uint8", None), Kind::Slice { element: 1, of: Some(Box::new(number)) });
        assert_eq!(kinds.parameter("[]string", None), Kind::Slice { element: 16, of: None });
        assert_eq!(kinds.parameter("runtime.iface", None), Kind::Interface);
        let named = kinds.parameter("time.Duration", Some(&Shape::Integer { bytes: 8 }));
        assert_eq!(named, Kind::Integer { signed: true, bytes: 8 });
        let Kind::Pointer(Some(to)) = kinds.parameter("*main.Order", None) else { panic!("a pointer") };
        let Kind::Structure { fields, .. } = *to else { panic!("to a structure") };
        assert_eq!(fields[1].kind, Kind::Pointer(None), "it points to itself, and one level is enough");
    }
}
