//! Itabs: the pairs of interface and type that the linker knew, with the code of each method (`abi.ITab`).

use serde::Serialize;

use super::descriptor::Reader;
use super::{Type, TypeKind};
use crate::Error;
use crate::functions::hexadecimal;

/// More itabs than any program has.
const ITABS: u64 = 4 << 20;

/// How a type implements an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Itab {
    /// Where it stands.
    #[serde(serialize_with = "hexadecimal")]
    pub address: u64,
    /// Descriptor of the interface.
    #[serde(serialize_with = "hexadecimal")]
    pub interface: u64,
    /// Descriptor of the type.
    #[serde(rename = "type", serialize_with = "hexadecimal")]
    pub implementation: u64,
    /// The methods, in the order of the interface; none where the type does not implement it after all.
    pub methods: Vec<ItabMethod>,
}

/// One method of an itab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItabMethod {
    /// Its name.
    pub name: String,
    /// Its code; 0 where the linker found that nobody calls it.
    #[serde(serialize_with = "hexadecimal")]
    pub entry: u64,
}

/// Every itab: by the list of the module data until Go 1.26, afterwards one behind the other.
pub(super) fn all(reader: &Reader<'_, '_>, types: &[Type]) -> Result<Vec<Itab>, Error> {
    match reader.module.words("itablinks") {
        Some(&[list, length, ..]) => {
            if length > ITABS {
                return Err(Error::TooMany { what: "itabs", found: length, limit: ITABS });
            }
            let each = (0..length).map_while(|number| reader.word(list, number));
            Ok(each.filter_map(|address| one(reader, types, address).map(|found| found.0)).collect())
        }
        _ => Ok(contiguous(reader, types).unwrap_or_default()),
    }
}

fn contiguous(reader: &Reader<'_, '_>, types: &[Type]) -> Option<Vec<Itab>> {
    let start = reader.module.field("types")?.checked_add(reader.module.field("itaboffset")?)?;
    let end = start.checked_add(reader.module.field("itabsize")?)?;
    let (mut found, mut at) = (Vec::new(), start);
    while at < end && (found.len() as u64) < ITABS {
        let (itab, size) = one(reader, types, at)?;
        found.push(itab);
        at += size;
    }
    Some(found)
}

/// The itab at `address` and its bytes.
fn one(reader: &Reader<'_, '_>, types: &[Type], address: u64) -> Option<(Itab, u64)> {
    let (interface, implementation) = (reader.word(address, 0)?, reader.word(address, 1)?);
    let known = types.binary_search_by_key(&interface, |t| t.address).ok().map(|found| &types[found]);
    let asked = known.filter(|t| t.kind == TypeKind::Interface)?;
    let pointer = reader.layout.pointer as u64;
    // Behind the two pointers and the hash; until Go 1.21 four bytes of padding whatever the pointer's size.
    let head = if reader.minor <= 21 { 2 * pointer + 8 } else { (2 * pointer + 4).next_multiple_of(pointer) };
    let code = address.checked_add(head)?;
    let first = reader.word(code, 0)?;
    let implemented = if first == 0 { &[][..] } else { &asked.methods };
    let methods = implemented.iter().zip(0..).map(|(method, number)| {
        Some(ItabMethod { name: method.name.clone(), entry: reader.word(code, number)? })
    });
    let size = head + pointer * (implemented.len() as u64).max(1);
    let methods = methods.collect::<Option<_>>()?;
    Some((Itab { address, interface, implementation, methods }, size))
}
