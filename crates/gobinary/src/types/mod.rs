//! Type descriptors and itabs: what reflection, interfaces and the garbage collector know of types.
//!
//! Stripping does not remove them. They stand between `moduledata.types` and `etypes` (internal/abi/type.go, iface.go);
//! until Go 1.26 other data lies between them, so each place is asked whether it can be a descriptor. A type that
//! nothing converts to an interface has none: debug data may know more.

mod descriptor;
mod itab;
mod name;

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Serialize;

use crate::functions::hexadecimal;
use crate::{Binary, Error};

pub use itab::{Itab, ItabMethod};

/// What a type is made as: `reflect.Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are Go's own")]
pub enum TypeKind {
    Bool,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Uintptr,
    Float32,
    Float64,
    Complex64,
    Complex128,
    Array,
    Chan,
    Func,
    Interface,
    Map,
    Pointer,
    Slice,
    String,
    Struct,
    UnsafePointer,
}

impl TypeKind {
    const ALL: [Self; 26] = [
        Self::Bool,
        Self::Int,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Uintptr,
        Self::Float32,
        Self::Float64,
        Self::Complex64,
        Self::Complex128,
        Self::Array,
        Self::Chan,
        Self::Func,
        Self::Interface,
        Self::Map,
        Self::Pointer,
        Self::Slice,
        Self::String,
        Self::Struct,
        Self::UnsafePointer,
    ];

    /// `abi.Kind` counts from 1; until Go 1.25 the upper bits say other things.
    fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte & 31).checked_sub(1)?).copied()
    }

    /// Bytes of a value, for the kinds that leave no choice.
    fn size(self, pointer: u64) -> Option<u64> {
        Some(match self {
            Self::Bool | Self::Int8 | Self::Uint8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 | Self::Complex64 => 8,
            Self::Complex128 => 16,
            Self::Int | Self::Uint | Self::Uintptr => pointer,
            Self::Chan | Self::Func | Self::Map | Self::Pointer | Self::UnsafePointer => pointer,
            Self::Interface | Self::String => 2 * pointer,
            Self::Slice => 3 * pointer,
            Self::Array | Self::Struct => return None,
        })
    }
}

/// One type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Type {
    /// Where its descriptor stands.
    #[serde(serialize_with = "hexadecimal")]
    pub address: u64,
    /// As `reflect.Type.String` gives it: `*http.Server`, with the last element of the package's path.
    pub name: String,
    /// What it is made as.
    pub kind: TypeKind,
    /// It has a name of its own, as `http.Server` and `int` do and `[]int` does not.
    pub named: bool,
    /// Bytes of a value.
    pub size: u64,
    /// Alignment of a variable, in bytes.
    pub align: u8,
    /// So many first bytes may hold pointers.
    pub pointer_bytes: u64,
    /// The runtime's hash of it.
    pub hash: u32,
    /// Import path of its package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Descriptor of the element of an array, channel, map, pointer or slice.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub element: Option<u64>,
    /// Descriptor of a map's key.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub key: Option<u64>,
    /// Length of an array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Fields of a structure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<TypeField>,
    /// Descriptors of a function's parameters.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "addresses")]
    pub parameters: Vec<u64>,
    /// Descriptors of a function's results.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "addresses")]
    pub results: Vec<u64>,
    /// The last parameter of a function takes any number.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub variadic: bool,
    /// Methods: of an interface those that it asks for; of another type those that can be reached by reflection or
    /// through an interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<TypeMethod>,
}

/// One field of a structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeField {
    /// Its name; of an embedded field that of its type.
    pub name: String,
    /// Bytes from the start of the structure.
    pub offset: u64,
    /// Descriptor of its type.
    #[serde(rename = "type", serialize_with = "hexadecimal")]
    pub descriptor: u64,
    /// It is embedded.
    pub embedded: bool,
    /// Its tag; empty where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag: String,
}

/// One method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeMethod {
    /// Its name.
    pub name: String,
    /// Descriptor of its signature without receiver; absent where the linker found that nobody asks.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub signature: Option<u64>,
    /// Code for a call with the receiver itself; absent for interfaces and where the linker left it out.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub entry: Option<u64>,
    /// Code for a call through an interface.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub interface_entry: Option<u64>,
}

fn optional<S: serde::Serializer>(address: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => hexadecimal(address, serializer),
        None => serializer.serialize_none(),
    }
}

fn addresses<S: serde::Serializer>(addresses: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    struct Hexadecimal(u64);
    impl Serialize for Hexadecimal {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            hexadecimal(&self.0, serializer)
        }
    }
    serializer.collect_seq(addresses.iter().map(|&address| Hexadecimal(address)))
}

impl Type {
    /// The name with the whole import path, as debug data has it: `net/http.Server`.
    #[must_use]
    pub fn qualified(&self) -> String {
        match &self.package {
            Some(package) if self.named => {
                let own = self.name.find('[').unwrap_or(self.name.len()); // type arguments have dots of their own
                let start = self.name[..own].rfind('.').map_or(0, |dot| dot + 1);
                format!("{package}.{}", &self.name[start..])
            }
            _ => self.name.clone(),
        }
    }
}

/// The types of a binary.
#[derive(Clone, Debug)]
pub struct Types {
    all: Vec<Type>,
    itabs: Vec<Itab>,
    /// Made when a name is asked for: a listing does not.
    names: OnceLock<HashMap<String, usize>>,
}

impl Types {
    /// Every type, in the order of the descriptors' addresses.
    #[must_use]
    pub fn all(&self) -> &[Type] {
        &self.all
    }

    /// Every itab that the linker made: which type implements which interface, and by which code.
    #[must_use]
    pub fn itabs(&self) -> &[Itab] {
        &self.itabs
    }

    /// The type whose descriptor stands at `address`.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<&Type> {
        self.all.binary_search_by_key(&address, |t| t.address).ok().map(|found| &self.all[found])
    }

    /// The type of that [qualified](Type::qualified) name: `net/http.Server`, `[]int`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Type> {
        let names = self.names.get_or_init(|| {
            self.all.iter().enumerate().rev().map(|(place, t)| (t.qualified(), place)).collect()
        });
        names.get(name).map(|&found| &self.all[found])
    }

    /// Takes them apart.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Type>, Vec<Itab>) {
        (self.all, self.itabs)
    }
}

impl Binary<'_> {
    /// The type descriptors of the runtime, and the itabs.
    ///
    /// # Errors
    /// As [`Binary::module_data`]; [`Error::TooMany`] for more than any program has.
    pub fn types(&self) -> Result<Types, Error> {
        let reader = descriptor::Reader::new(self)?;
        let all = reader.all()?;
        let itabs = itab::all(&reader, &all)?;
        Ok(Types { all, itabs, names: OnceLock::new() })
    }
}
