//! Arguments: where they are when a function is entered, what the kernel must read of them, and what that shows.
//!
//! Places are computed by the convention, if that agrees with what the compiler wrote down (DWARF locations at the
//! entry, which are silent on parameters that are not used); otherwise they are the compiler's. The kernel copies the integer registers of each call, and up to [`READS`] pieces of memory that they lead to.

use gobinary::abi::{Place, Registers};
use gobinary::debug::{DebugFunction, Parameter, Where};
use gobinary::{Types, abi::Shape};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::kind::{Kind, Kinds};
use crate::record::{HEADER, Header, u32_at, u64_at};

/// `READS`, `PIECE` and `REGISTERS` of `bpf/func.bpf.c`.
pub(crate) const READS: usize = 12;
const PIECE: usize = 128;
const REGISTERS: usize = 9;
/// Bytes of a plan there.
pub(crate) const PLAN: usize = 8 + READS * 16;
/// Where in a record the registers and the pieces begin.
const AT_REGISTERS: usize = HEADER + 16;
const AT_PIECES: usize = AT_REGISTERS + 8 * REGISTERS;

/// The order in which the kernel keeps them.
const NAMES: [&str; REGISTERS] = ["rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"];
/// Their DWARF numbers (System V ABI for x86-64, figure 3.36).
const DWARF: [u16; REGISTERS] = [0, 3, 2, 5, 4, 8, 9, 10, 11];

/// One word of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Register(usize),
    /// Bytes above the caller's first argument.
    Stack(u64),
    /// In a floating-point register: programs in the kernel do not see these.
    Unseen,
}

/// A piece of memory to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    what: u8,
    from: u8,
    count: u8,
    element: u8,
    bytes: u32,
    offset: i64,
}

/// One parameter.
#[derive(Clone, Debug)]
struct Argument {
    name: String,
    type_name: String,
    kind: Kind,
    /// (offset in the value, bytes, where)
    words: Vec<(u64, u64, Word)>,
    /// The pieces that hold what the value leads to, by the offset of the address in the value.
    pieces: Vec<(u64, usize)>,
    /// Of a structure that it points to: pieces by the offset in that.
    inner: Vec<(u64, usize)>,
}

/// The parameters of a function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    arguments: Vec<Argument>,
    readings: Vec<Reading>,
    /// The piece that holds the caller's stack.
    stack: Option<usize>,
}

/// One argument of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The parameter's name.
    pub name: String,
    /// The name of its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its value; null where it is not seen.
    pub value: Value,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When, whose, and of which function.
    pub header: Header,
    /// Its arguments.
    pub arguments: Vec<Shown>,
}

impl Plan {
    /// For a function that debug data describes, in a binary built by Go 1.`minor`.
    pub(crate) fn of(function: &DebugFunction, kinds: &Kinds<'_>, minor: u32) -> Self {
        let parameters: Vec<&Parameter> = function.parameters.iter().filter(|p| !p.result).collect();
        let computed = computed(function, minor);
        let mut plan = Self::default();
        for (number, parameter) in parameters.iter().enumerate() {
            let kind = kinds.parameter(&parameter.type_name, parameter.shape.as_ref());
            let words = match &computed {
                Some(all) => all.get(number).cloned(),
                None => told(parameter).filter(|words| in_registers(words)),
            };
            plan.arguments.push(Argument {
                name: parameter.name.clone(),
                type_name: parameter.type_name.clone(),
                kind,
                words: words.unwrap_or_default(),
                pieces: Vec::new(),
                inner: Vec::new(),
            });
        }
        plan.read_stack();
        for number in 0..plan.arguments.len() {
            plan.lead(number);
        }
        plan
    }

    fn add(&mut self, reading: Reading) -> Option<usize> {
        (self.readings.len() < READS).then(|| {
            self.readings.push(reading);
            self.readings.len() - 1
        })
    }

    /// The arguments that the caller put on its stack.
    fn read_stack(&mut self) {
        let ends = self.arguments.iter().flat_map(|a| &a.words).filter_map(|(_, bytes, word)| match word {
            Word::Stack(at) => Some(at + bytes),
            _ => None,
        });
        if let Some(end) = ends.max() {
            let bytes = u32::try_from(end.min(PIECE as u64)).unwrap_or(0);
            // Behind the return address.
            self.stack = self.add(Reading { what: 1, from: 0, count: 0, element: 0, bytes, offset: 8 });
        }
    }

    /// What an argument leads to.
    fn lead(&mut self, number: usize) {
        let argument = self.arguments[number].clone();
        let mut pieces = Vec::new();
        for (offset, element) in texts(&argument.kind, 0) {
            let word = |at: u64| argument.words.iter().find(|w| w.0 == at).map(|w| w.2);
            let reading = match (word(offset), word(offset + 8), self.stack) {
                (Some(Word::Register(from)), Some(Word::Register(count)), _) => Some(Reading {
                    what: 3,
                    from: index(from),
                    count: index(count),
                    element,
                    bytes: 128,
                    offset: 0,
                }),
                (Some(Word::Stack(at)), _, Some(stack)) if at + 16 <= PIECE as u64 => {
                    Some(inner(stack, at, element))
                }
                _ => None,
            };
            pieces.extend(reading.and_then(|reading| self.add(reading)).map(|piece| (offset, piece)));
        }
        if let Kind::Pointer(Some(to)) = &argument.kind
            && let (Kind::Structure { bytes, .. }, Some((_, _, Word::Register(from)))) =
                (to.as_ref(), argument.words.first())
        {
            let bytes = u32::try_from(*bytes).unwrap_or(u32::MAX).min(128);
            let whole = Reading { what: 2, from: index(*from), count: 0, element: 0, bytes, offset: 0 };
            if let Some(piece) = self.add(whole) {
                pieces.push((0, piece));
                for (offset, element) in
                    texts(to, 0).into_iter().filter(|(at, _)| at + 16 <= u64::from(bytes))
                {
                    let found = self.add(inner(piece, offset, element));
                    self.arguments[number].inner.extend(found.map(|piece| (offset, piece)));
                }
            }
        }
        self.arguments[number].pieces = pieces;
    }

    /// As the kernel's program wants it: `struct plan`.
    pub(crate) fn bytes(&self) -> [u8; PLAN] {
        let mut plan = [0; PLAN];
        plan[..4].copy_from_slice(&u32::try_from(self.readings.len()).unwrap_or(0).to_ne_bytes());
        for (reading, row) in self.readings.iter().zip(plan[8..].chunks_exact_mut(16)) {
            row[..4].copy_from_slice(&[reading.what, reading.from, reading.count, reading.element]);
            row[4..8].copy_from_slice(&reading.bytes.to_ne_bytes());
            row[8..].copy_from_slice(&reading.offset.to_ne_bytes());
        }
        plan
    }

    /// What a record shows.
    pub(crate) fn read(&self, record: &[u8], named: &dyn Fn(u64, bool) -> Option<String>) -> Option<Call> {
        let header = Header::read(record)?;
        let seen = Seen { record, stack: self.stack };
        let show = |argument: &Argument| {
            let part = Part {
                words: Words::Argument(argument, &seen),
                pieces: &argument.pieces,
                seen: &seen,
                named,
            };
            let value = match &argument.kind {
                Kind::Pointer(Some(to)) => part.word(0).map(|address| {
                    let inside = argument.pieces.first().and_then(|(_, piece)| seen.piece(*piece));
                    match inside.filter(|_| address != 0) {
                        Some(data) => {
                            Part { words: Words::Data(data), pieces: &argument.inner, seen: &seen, named }
                                .show(to, 0)
                        }
                        None => part.show(&Kind::Address, 0),
                    }
                }),
                kind => Some(part.show(kind, 0)),
            };
            Shown {
                name: argument.name.clone(),
                type_name: argument.type_name.clone(),
                value: value.unwrap_or(Value::Null),
            }
        };
        Some(Call { header, arguments: self.arguments.iter().map(show).collect() })
    }
}

fn index(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// An address at `offset` of a piece that was read before, and behind it how many elements.
fn inner(piece: usize, offset: u64, element: u8) -> Reading {
    Reading {
        what: 4,
        from: index(piece),
        count: 0,
        element,
        bytes: 128,
        offset: i64::try_from(offset).unwrap_or(0),
    }
}

/// Offsets of the strings and slices of numbers in a value, and the bytes of their elements.
fn texts(kind: &Kind, at: u64) -> Vec<(u64, u8)> {
    match kind {
        Kind::String => vec![(at, 1)],
        Kind::Slice { element, of: Some(_) } => {
            u8::try_from(*element).map(|e| vec![(at, e)]).unwrap_or_default()
        }
        Kind::Structure { fields, .. } => fields.iter().flat_map(|f| texts(&f.kind, at + f.offset)).collect(),
        _ => Vec::new(),
    }
}

/// Where the compiler says that a parameter is.
fn told(parameter: &Parameter) -> Option<Vec<(u64, u64, Word)>> {
    let whole = parameter.shape.as_ref().map_or(8, |shape| shape.bytes(8));
    let mut words = Vec::new();
    let mut offset = 0;
    for location in &parameter.at_entry {
        let bytes = location.bytes.unwrap_or(whole);
        let word = match location.at {
            Where::Register(number) => {
                DWARF.iter().position(|d| *d == number).map_or(Word::Unseen, Word::Register)
            }
            // Above the frame are arguments of the caller; below is where a register would be kept later.
            Where::Frame(at) => Word::Stack(u64::try_from(at).ok()?),
            Where::Nowhere => return None,
        };
        match word {
            Word::Stack(at) => {
                words.extend(
                    (0..bytes.div_ceil(8)).map(|n| (offset + n * 8, 8.min(bytes), Word::Stack(at + n * 8))),
                );
            }
            word => words.push((offset, bytes, word)),
        }
        offset += bytes;
    }
    (!words.is_empty()).then_some(words)
}

/// Where the convention puts the parameters; `None` when it contradicts the compiler, as it does where debug data
/// leaves out parameters without a name.
fn computed(function: &DebugFunction, minor: u32) -> Option<Vec<Vec<(u64, u64, Word)>>> {
    let shapes = |result: bool| -> Option<Vec<Shape>> {
        function.parameters.iter().filter(|p| p.result == result).map(|p| p.shape.clone()).collect()
    };
    let assigned = Registers::of("amd64", minor)?.assign(&shapes(false)?, &shapes(true)?);
    let words = |(place, shape): (&Place, Shape)| match place {
        Place::Registers(pieces) => pieces
            .iter()
            .map(|p| {
                let word = NAMES.iter().position(|n| *n == p.register).map_or(Word::Unseen, Word::Register);
                (p.offset, p.bytes, word)
            })
            .collect(),
        Place::Stack(at) => {
            let bytes = shape.bytes(8).min(PIECE as u64);
            (0..bytes.div_ceil(8)).map(|n| (n * 8, 8.min(bytes - n * 8), Word::Stack(at + n * 8))).collect()
        }
    };
    let all: Vec<Vec<(u64, u64, Word)>> = assigned.parameters.iter().zip(shapes(false)?).map(words).collect();
    let parameters = function.parameters.iter().filter(|p| !p.result);
    let agrees = parameters.zip(&all).all(|(parameter, ours)| {
        // Offsets are not compared: the compiler's pieces leave out what lies between fields.
        let registers = told(parameter).filter(|words| in_registers(words));
        registers.is_none_or(|theirs| theirs.iter().map(|w| w.2).eq(ours.iter().map(|w| w.2)))
    });
    agrees.then_some(all)
}

/// Of a parameter that is not used the compiler says only where it would be kept, which is in memory.
fn in_registers(words: &[(u64, u64, Word)]) -> bool {
    words.iter().all(|word| !matches!(word.2, Word::Stack(_)))
}

/// A record, piece by piece.
struct Seen<'r> {
    record: &'r [u8],
    stack: Option<usize>,
}

impl<'r> Seen<'r> {
    fn piece(&self, number: usize) -> Option<&'r [u8]> {
        let at = AT_PIECES + number * (8 + PIECE);
        let bytes = usize::try_from(u32_at(self.record, at)?).ok()?;
        let data = self.record.get(at + 8..at + 8 + bytes.min(PIECE))?;
        (!data.is_empty()).then_some(data)
    }
}

enum Words<'r> {
    Argument(&'r Argument, &'r Seen<'r>),
    Data(&'r [u8]),
}

/// A value, or the part of one that a pointer leads to.
struct Part<'r> {
    words: Words<'r>,
    pieces: &'r [(u64, usize)],
    seen: &'r Seen<'r>,
    named: &'r dyn Fn(u64, bool) -> Option<String>,
}

impl Part<'_> {
    /// Eight bytes of it, or as many as there are.
    fn word(&self, at: u64) -> Option<u64> {
        match &self.words {
            Words::Argument(argument, seen) => {
                let (start, _, word) =
                    argument.words.iter().rev().find(|w| w.0 <= at && at < w.0 + w.1.max(1))?;
                let value = match word {
                    Word::Register(number) => u64_at(seen.record, AT_REGISTERS + number * 8)?,
                    Word::Stack(place) => number_at(seen.piece(seen.stack?)?, usize::try_from(*place).ok()?)?,
                    Word::Unseen => return None,
                };
                Some(value >> ((at - start) * 8).min(63))
            }
            Words::Data(data) => number_at(data, usize::try_from(at).ok()?),
        }
    }

    fn show(&self, kind: &Kind, at: u64) -> Value {
        let Some(word) = self.word(at).filter(|_| !matches!(kind, Kind::Structure { .. })) else {
            return match kind {
                Kind::Structure { fields, .. } => {
                    let shown = fields.iter().map(|f| (f.name.clone(), self.show(&f.kind, at + f.offset)));
                    Value::Object(shown.collect::<Map<_, _>>())
                }
                _ => Value::Null,
            };
        };
        match kind {
            Kind::Integer { .. } | Kind::Boolean | Kind::Float { .. } => number(kind, word),
            Kind::String => self.text(at),
            Kind::Slice { of, .. } => self.slice(at, of.as_deref()),
            Kind::Interface if word == 0 => Value::Null,
            Kind::Any if word == 0 => Value::Null,
            Kind::Interface => json!({ "dynamic": (self.named)(word, true) }),
            Kind::Any => json!({ "dynamic": (self.named)(word, false) }),
            Kind::Pointer(_) | Kind::Address | Kind::Unknown if word == 0 => Value::Null,
            _ => Value::String(format!("{word:#x}")),
        }
    }

    fn data(&self, at: u64) -> Option<&[u8]> {
        self.pieces.iter().find(|(offset, _)| *offset == at).and_then(|(_, piece)| self.seen.piece(*piece))
    }

    fn text(&self, at: u64) -> Value {
        let length = self.word(at + 8).unwrap_or(0);
        match self.data(at) {
            Some(data) => {
                let mut text = String::from_utf8_lossy(data).into_owned();
                if (data.len() as u64) < length {
                    text.push('…');
                }
                Value::String(text)
            }
            None if length == 0 => Value::String(String::new()),
            None => json!({ "length": length }),
        }
    }

    fn slice(&self, at: u64, of: Option<&Kind>) -> Value {
        let length = self.word(at + 8);
        let elements = of.zip(self.data(at)).and_then(|(kind, data)| {
            let bytes = match kind {
                Kind::Integer { bytes, .. } | Kind::Float { bytes } => usize::try_from(*bytes).ok()?,
                _ => 1,
            };
            let values =
                data.chunks_exact(bytes.max(1)).map(|chunk| Some(number(kind, number_at(chunk, 0)?)));
            values.collect::<Option<Vec<_>>>()
        });
        json!({ "length": length, "first": elements.unwrap_or_default() })
    }
}

/// Up to eight bytes, little-endian.
fn number_at(data: &[u8], at: usize) -> Option<u64> {
    let held = data.get(at..)?;
    let mut word = [0; 8];
    let bytes = held.len().min(8);
    word[..bytes].copy_from_slice(&held[..bytes]);
    (bytes > 0).then(|| u64::from_le_bytes(word))
}

fn number(kind: &Kind, word: u64) -> Value {
    match kind {
        Kind::Boolean => Value::Bool(word & 1 == 1),
        Kind::Float { bytes: 4 } => {
            let [a, b, c, d, ..] = word.to_le_bytes();
            json!(f32::from_le_bytes([a, b, c, d]))
        }
        Kind::Float { .. } => json!(f64::from_bits(word)),
        Kind::Integer { signed, bytes } => {
            let unused = 64 - (bytes * 8).clamp(8, 64);
            match signed {
                true => json!((word << unused).cast_signed() >> unused),
                false => json!((word << unused) >> unused),
            }
        }
        _ => Value::Null,
    }
}

/// The name of a dynamic type: of an itab when `itab`, of a type descriptor otherwise, as linked.
pub(crate) fn dynamic(types: &Types, address: u64, itab: bool) -> Option<String> {
    let descriptor = match itab {
        true => types.itabs().iter().find(|i| i.address == address).map(|i| i.implementation)?,
        false => address,
    };
    types.at(descriptor).map(gobinary::Type::qualified)
}
