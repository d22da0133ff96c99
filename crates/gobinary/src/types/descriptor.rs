//! Reads descriptors: finds them, and decodes what each kind adds to the common part.

use super::name::{self, Name};
use super::{Type, TypeField, TypeKind, TypeMethod};
use crate::bytes::Layout;
use crate::image::Image;
use crate::layout;
use crate::moduledata::{Module, Text};
use crate::{Binary, Error};

/// More types than any program has.
const TYPES: usize = 8 << 20;
/// More fields or methods than any type has.
const MEMBERS: u64 = 1 << 16;
/// Fields, methods and parameters of all types together, for each byte of type data: a field takes twelve at least.
const SHARING: usize = 2;

const UNCOMMON: u8 = 1 << 0; // abi.TFlagUncommon
const EXTRA_STAR: u8 = 1 << 1; // abi.TFlagExtraStar
const NAMED: u8 = 1 << 2; // abi.TFlagNamed
/// Bits of `TFlag` that no release has set.
const UNKNOWN_FLAGS: u8 = 0xc0;
/// `OutCount` says so of a function whose last parameter takes any number.
const VARIADIC: u16 = 1 << 15;

/// What descriptors are read with.
pub(super) struct Reader<'b, 'a> {
    pub(super) image: &'b Image<'a>,
    pub(super) layout: Layout,
    pub(super) module: &'b Module,
    text: &'b Text,
    types: u64,
    end: u64,
    /// The minor release, where the build information or the layout says.
    pub(super) minor: u32,
}

/// The common part of a descriptor: `abi.Type`.
struct Common<'a> {
    address: u64,
    size: u64,
    pointer_bytes: u64,
    hash: u32,
    flags: u8,
    align: u8,
    kind: TypeKind,
    name: &'a str,
}

impl<'b, 'a> Reader<'b, 'a> {
    pub(super) fn new(binary: &'b Binary<'a>) -> Result<Self, Error> {
        let (header, text) = binary.table()?;
        let module = binary.module_data()?;
        let field = |name| module.field(name).ok_or(Error::ModuleData { what: name });
        let named = binary.go.as_ref().and_then(|go| crate::buildinfo::minor_release(&go.version));
        let least =
            module.layout.strip_prefix("1.").and_then(|minor| minor.parse().ok()).unwrap_or(layout::NEWEST);
        Ok(Self {
            image: &binary.image,
            layout: header.layout,
            module,
            text,
            types: field("types")?,
            end: field("etypes")?,
            minor: named.unwrap_or(least),
        })
    }

    fn pointer(&self) -> u64 {
        self.layout.pointer as u64
    }

    /// Bytes of `abi.Type`.
    fn base(&self) -> u64 {
        4 * self.pointer() + 16
    }

    /// Every descriptor, in order. Where one stands the next place asked is behind it; where none can stand, the next
    /// pointer's place.
    pub(super) fn all(&self) -> Result<Vec<Type>, Error> {
        let mut found = Vec::new();
        let held = self.image.from(self.types).map_or(0, |bytes| bytes.len() as u64);
        let length = self.end.saturating_sub(self.types).min(held);
        let mut members = usize::try_from(length).unwrap_or(usize::MAX).saturating_mul(SHARING);
        let mut at = 0;
        while at + self.base() <= length {
            let Some((decoded, size)) = self.decode(self.types.wrapping_add(at)) else {
                at += self.pointer();
                continue;
            };
            let here = decoded.fields.len() + decoded.methods.len() + decoded.parameters.len();
            members = members.checked_sub(here).ok_or(Error::TypeData { what: "members overlap" })?;
            if found.len() == TYPES {
                return Err(Error::TooMany { what: "types", found: TYPES as u64 + 1, limit: TYPES as u64 });
            }
            found.push(decoded);
            at = (at + size).next_multiple_of(self.pointer());
        }
        Ok(found)
    }

    /// The descriptor at `address` and how many bytes it takes; `None` where there cannot be one.
    fn decode(&self, address: u64) -> Option<(Type, u64)> {
        let common = self.common(address)?;
        let mut decoded = Type {
            address,
            name: common.name.to_owned(),
            kind: common.kind,
            named: common.flags & NAMED != 0,
            size: common.size,
            align: common.align,
            pointer_bytes: common.pointer_bytes,
            hash: common.hash,
            package: None,
            element: None,
            key: None,
            length: None,
            fields: Vec::new(),
            parameters: Vec::new(),
            results: Vec::new(),
            variadic: false,
            methods: Vec::new(),
        };
        let behind = address.checked_add(self.base())?;
        let own = self.special(&mut decoded, behind, common.flags)?;
        let mut size = self.base() + own;
        if common.flags & UNCOMMON != 0 {
            size += self.uncommon(&mut decoded, address.checked_add(size)?)?;
        }
        let pointers = (decoded.parameters.len() + decoded.results.len()) as u64;
        size += pointers * self.pointer() + decoded.fields.len() as u64 * 3 * self.pointer();
        size += match decoded.kind {
            TypeKind::Interface => 8,
            _ => 16,
        } * decoded.methods.len() as u64;
        Some((decoded, size))
    }

    fn common(&self, address: u64) -> Option<Common<'a>> {
        let pointer = self.layout.pointer;
        let bytes = self.image.read(address, usize::try_from(self.base()).ok()?)?;
        let (flags, align, field_align, kind) = {
            let at = 2 * pointer + 4;
            (bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
        };
        let kind = TypeKind::of(kind)?;
        let aligned = |align: u8| align.is_power_of_two() && align <= 64;
        if flags & UNKNOWN_FLAGS != 0 || !aligned(align) || !aligned(field_align) {
            return None;
        }
        let (size, pointer_bytes) = (self.layout.word(bytes, 0)?, self.layout.word(bytes, pointer)?);
        let fits = kind.size(self.pointer()).is_none_or(|fixed| fixed == size);
        if !fits || pointer_bytes > size || size % u64::from(align) != 0 {
            return None;
        }
        let name = self.name_at(self.layout.u32(bytes, 4 * pointer + 8)?)?.text;
        let name = if flags & EXTRA_STAR == 0 { name } else { name.strip_prefix('*')? };
        let hash = self.layout.u32(bytes, 2 * pointer)?;
        let told = !name.is_empty() && shaped(kind, flags & NAMED != 0, name);
        told.then_some(Common { address, size, pointer_bytes, hash, flags, align, kind, name })
            .filter(|common| common.address == address)
    }

    /// The name at an offset from the start of the type data (runtime `resolveNameOff`).
    fn name_at(&self, offset: u32) -> Option<Name<'a>> {
        if offset == 0 {
            return None;
        }
        self.name(self.types.checked_add(offset.into())?)
    }

    fn name(&self, address: u64) -> Option<Name<'a>> {
        name::read(self.image.from(address)?, self.minor == 16)
    }

    pub(super) fn word(&self, address: u64, number: u64) -> Option<u64> {
        self.image.word(address.checked_add(number.checked_mul(self.pointer())?)?)
    }

    pub(super) fn u32(&self, address: u64) -> Option<u32> {
        self.layout.u32(self.image.read(address, 4)?, 0)
    }

    fn u16(&self, address: u64) -> Option<u16> {
        let raw = self.image.read(address, 2)?.try_into().ok()?;
        Some(if self.layout.big_endian { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    /// What the kind adds behind the common part; gives its bytes, without what stands behind the uncommon part.
    fn special(&self, decoded: &mut Type, at: u64, flags: u8) -> Option<u64> {
        let pointer = self.pointer();
        let word = |number| self.word(at, number);
        Some(match decoded.kind {
            TypeKind::Array => {
                decoded.element = Some(word(0)?);
                decoded.length = Some(word(2)?);
                3 * pointer
            }
            TypeKind::Chan => {
                decoded.element = Some(word(0)?);
                2 * pointer
            }
            TypeKind::Pointer | TypeKind::Slice => {
                decoded.element = Some(word(0)?);
                pointer
            }
            TypeKind::Func => {
                let (taken, given) = (self.u16(at)?, self.u16(at.checked_add(2)?)?);
                decoded.variadic = given & VARIADIC != 0;
                let own = 4u64.next_multiple_of(pointer);
                let uncommon = if flags & UNCOMMON == 0 { 0 } else { 16 };
                let list = at.checked_add(own + uncommon)?;
                let all = u64::from(taken) + u64::from(given & !VARIADIC);
                let mut all = (0..all).map(|number| self.word(list, number)).collect::<Option<Vec<_>>>()?;
                decoded.results = all.split_off(taken.into());
                decoded.parameters = all;
                own
            }
            TypeKind::Interface => {
                decoded.package = self.package(word(0)?);
                decoded.methods = self.asked(word(1)?, word(2)?)?;
                4 * pointer
            }
            TypeKind::Map => {
                (decoded.key, decoded.element) = (Some(word(0)?), Some(word(1)?));
                self.map_bytes()
            }
            TypeKind::Struct => {
                decoded.package = self.package(word(0)?);
                decoded.fields = self.fields(word(1)?, word(2)?, decoded.size)?;
                4 * pointer
            }
            _ => 0,
        })
    }

    /// `abi.MapType` behind the common part: the hash tables of Go 1.24 and of 1.27 changed it.
    fn map_bytes(&self) -> u64 {
        let pointer = self.pointer();
        match self.minor {
            27.. => 10 * pointer + 4u64.next_multiple_of(pointer),
            24.. => 7 * pointer + 4u64.next_multiple_of(pointer),
            _ => 4 * pointer + 8,
        }
    }

    fn package(&self, address: u64) -> Option<String> {
        if address == 0 {
            return None;
        }
        self.name(address).map(|name| name.text.to_owned()).filter(|path| !path.is_empty())
    }

    /// `abi.StructField`: name, type, offset; until Go 1.18 the offset is doubled and odd for an embedded field.
    fn fields(&self, start: u64, count: u64, size: u64) -> Option<Vec<TypeField>> {
        if count > MEMBERS {
            return None;
        }
        let fields = (0..count).map(|number| {
            let word = |which| self.word(start, number.checked_mul(3)?.checked_add(which)?);
            let name = self.name(word(0)?)?;
            let raw = word(2)?;
            let (offset, odd) = if self.minor <= 18 { (raw >> 1, raw & 1 != 0) } else { (raw, false) };
            (offset <= size).then_some(TypeField {
                name: name.text.to_owned(),
                offset,
                descriptor: word(1)?,
                embedded: name.embedded || odd,
                tag: name.tag.to_owned(),
            })
        });
        fields.collect()
    }

    /// `abi.Imethod`: offsets of name and type.
    fn asked(&self, start: u64, count: u64) -> Option<Vec<TypeMethod>> {
        if count > MEMBERS {
            return None;
        }
        let methods = (0..count).map(|number| {
            let place = start.checked_add(number * 8)?;
            Some(TypeMethod {
                name: self.name_at(self.u32(place)?)?.text.to_owned(),
                signature: self.reachable(self.u32(place.checked_add(4)?)?),
                entry: None,
                interface_entry: None,
            })
        });
        methods.collect()
    }

    /// An offset of a type: 0 or -1 where the linker left it out.
    fn reachable(&self, offset: u32) -> Option<u64> {
        (offset != 0 && offset != u32::MAX).then(|| self.types.wrapping_add(offset.into()))
    }

    /// `abi.UncommonType`: package and methods; gives its bytes.
    fn uncommon(&self, decoded: &mut Type, at: u64) -> Option<u64> {
        let package = self.u32(at)?;
        let methods = u64::from(self.u16(at.checked_add(4)?)?);
        let offset = self.u32(at.checked_add(8)?)?;
        if package != 0 {
            decoded.package = Some(self.name_at(package)?.text.to_owned());
        }
        if decoded.kind == TypeKind::Interface {
            return Some(16); // what it asks for has been read
        }
        let start = at.checked_add(offset.into())?;
        let code =
            |offset: u32| (offset != 0 && offset != u32::MAX).then(|| self.text.address(offset.into()));
        let methods = (0..methods).map(|number| {
            let place = start.checked_add(number * 16)?;
            let field = |which: u64| self.u32(place.checked_add(4 * which)?);
            Some(TypeMethod {
                name: self.name_at(field(0)?)?.text.to_owned(),
                signature: self.reachable(field(1)?),
                interface_entry: code(field(2)?),
                entry: code(field(3)?),
            })
        });
        decoded.methods = methods.collect::<Option<_>>()?;
        Some(16)
    }
}

/// Whether a type of that kind can have that name: an unnamed one says in its name what it is.
fn shaped(kind: TypeKind, named: bool, name: &str) -> bool {
    if named {
        return !name.starts_with('*') && !name.chars().any(char::is_control);
    }
    let name = name.strip_prefix("noalg.").unwrap_or(name); // made by the compiler for maps
    match kind {
        TypeKind::Pointer => name.starts_with('*'),
        TypeKind::Slice => name.starts_with("[]"),
        TypeKind::Array => name.starts_with('['),
        TypeKind::Chan => {
            name.starts_with("chan ") || name.starts_with("<-chan ") || name.starts_with("chan<- ")
        }
        TypeKind::Func => name.starts_with("func("),
        TypeKind::Map => name.starts_with("map["),
        TypeKind::Struct => name.starts_with("struct {") || name.starts_with("map."),
        TypeKind::Interface => name.starts_with("interface {"),
        _ => true, // predeclared, whatever an obfuscator calls it
    }
}
