//! Where arguments and results are when a function is entered and left.
//!
//! Go's internal calling convention (src/cmd/compile/abi-internal.md): each value goes whole into registers, in order,
//! or whole onto the stack. Functions written in assembly (ABI0) take everything on the stack.

/// A value as the convention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A boolean, a number, or part of one.
    Integer {
        /// Its bytes.
        bytes: u64,
    },
    /// A pointer, channel, map, function value.
    Pointer,
    /// A floating-point number.
    Float {
        /// 4 or 8.
        bytes: u64,
    },
    /// A structure; a string, slice, interface or complex number too.
    Structure {
        /// Its bytes.
        bytes: u64,
        /// Its alignment.
        align: u64,
        /// (offset, field).
        fields: Vec<(u64, Shape)>,
    },
    /// An array.
    Array {
        /// How many elements.
        length: u64,
        /// One of them.
        element: Box<Shape>,
    },
}

/// A part of a value in a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The register, as the architecture's manual names it.
    pub register: &'static str,
    /// Where in the value the part starts.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In registers, part by part.
    Registers(Vec<Piece>),
    /// On the caller's stack, so many bytes above its first argument. On amd64 that stands behind the return address:
    /// at entry, 8 bytes above the stack pointer; on arm64 behind the saved link register, 8 bytes too.
    Stack(u64),
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The receiver, if there is one, and the parameters.
    pub parameters: Vec<Place>,
    /// The results.
    pub results: Vec<Place>,
    /// Bytes of stack that arguments and results take in the caller's frame.
    pub stack: u64,
    /// Bytes behind these, in which the function may keep arguments that came in registers.
    pub spill: u64,
}

/// The registers of one architecture.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    integers: &'static [&'static str],
    floats: &'static [&'static str],
    pointer: u64,
}

const AMD64: Registers = Registers {
    integers: &["rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"],
    floats: &[
        "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm12", "xmm13", "xmm14",
    ],
    pointer: 8,
};
const ARM64: Registers = Registers {
    integers: &[
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
    ],
    floats: &[
        "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
    ],
    pointer: 8,
};

impl Registers {
    /// The registers of the internal convention on `architecture` (as `GOARCH` names it) in Go 1.`minor`; `None` where
    /// this crate does not know them. Architectures and releases without such a convention have none:
    /// [`Registers::stack_only`].
    #[must_use]
    pub fn of(architecture: &str, minor: u32) -> Option<Self> {
        match architecture {
            "amd64" if minor >= 17 => Some(AMD64),
            "arm64" if minor >= 18 => Some(ARM64),
            "amd64" | "arm64" => Some(Self::stack_only(8)),
            "386" | "arm" | "mips" | "mipsle" => Some(Self::stack_only(4)),
            _ => None,
        }
    }

    /// No registers: ABI0, with pointers of so many bytes.
    #[must_use]
    pub fn stack_only(pointer: u64) -> Self {
        Self { integers: &[], floats: &[], pointer }
    }

    /// Where a function with these parameters (receiver first) and results finds and leaves them.
    #[must_use]
    pub fn assign(self, parameters: &[Shape], results: &[Shape]) -> Assignment {
        let mut stack = 0;
        let mut of = |shapes: &[Shape]| {
            let mut used = Used::default();
            let places: Vec<Place> =
                shapes.iter().map(|shape| self.place(shape, &mut used, &mut stack)).collect();
            stack = align(stack, self.pointer);
            places
        };
        let (parameters_at, results) = (of(parameters), of(results));
        let kept =
            parameters.iter().zip(&parameters_at).filter(|(_, place)| matches!(place, Place::Registers(_)));
        let spill =
            kept.fold(0, |at, (shape, _)| align(at, shape.align(self.pointer)) + shape.bytes(self.pointer));
        Assignment { parameters: parameters_at, results, stack, spill: align(spill, self.pointer) }
    }

    fn place(self, shape: &Shape, used: &mut Used, stack: &mut u64) -> Place {
        let before = *used;
        let mut pieces = Vec::new();
        if shape.bytes(self.pointer) > 0 && self.register(shape, 0, used, &mut pieces).is_some() {
            return Place::Registers(pieces);
        }
        *used = before;
        let at = align(*stack, shape.align(self.pointer));
        *stack = at.saturating_add(shape.bytes(self.pointer));
        Place::Stack(at)
    }

    /// Puts `shape` into registers; `None` when it does not fit.
    fn register(self, shape: &Shape, offset: u64, used: &mut Used, pieces: &mut Vec<Piece>) -> Option<()> {
        let mut take = |names: &[&'static str], number: &mut usize, offset, bytes| {
            let register = *names.get(*number)?;
            *number += 1;
            pieces.push(Piece { register, offset, bytes });
            Some(())
        };
        match shape {
            Shape::Integer { bytes } if *bytes > self.pointer => {
                take(self.integers, &mut used.integers, offset, self.pointer)?;
                take(self.integers, &mut used.integers, offset + self.pointer, bytes - self.pointer)
            }
            Shape::Integer { bytes } => take(self.integers, &mut used.integers, offset, *bytes),
            Shape::Pointer => take(self.integers, &mut used.integers, offset, self.pointer),
            Shape::Float { bytes } => take(self.floats, &mut used.floats, offset, *bytes),
            Shape::Structure { fields, .. } => {
                fields.iter().try_for_each(|(at, field)| self.register(field, offset + at, used, pieces))
            }
            Shape::Array { length: 0, .. } => Some(()),
            Shape::Array { length: 1, element } => self.register(element, offset, used, pieces),
            Shape::Array { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Used {
    integers: usize,
    floats: usize,
}

fn align(at: u64, to: u64) -> u64 {
    at.checked_next_multiple_of(to.max(1)).unwrap_or(at)
}

impl Shape {
    /// Bytes of a value.
    #[must_use]
    pub fn bytes(&self, pointer: u64) -> u64 {
        match self {
            Self::Integer { bytes } | Self::Float { bytes } | Self::Structure { bytes, .. } => *bytes,
            Self::Pointer => pointer,
            Self::Array { length, element } => length.saturating_mul(element.bytes(pointer)),
        }
    }

    /// Alignment of a variable.
    #[must_use]
    pub fn align(&self, pointer: u64) -> u64 {
        match self {
            Self::Integer { bytes } | Self::Float { bytes } => (*bytes).clamp(1, pointer),
            Self::Pointer => pointer,
            Self::Structure { align, .. } => (*align).max(1),
            Self::Array { element, .. } => element.align(pointer),
        }
    }

    /// So many words one after the other: a string has two, a slice three.
    #[must_use]
    pub fn words(count: u64, pointer: u64) -> Self {
        let field = |number: u64| if number == 0 { Self::Pointer } else { Self::Integer { bytes: pointer } };
        let fields = (0..count).map(|number| (number * pointer, field(number))).collect();
        Self::Structure { bytes: count * pointer, align: pointer, fields }
    }

    /// A complex number of so many bytes: two floats.
    #[must_use]
    pub fn complex(bytes: u64) -> Self {
        let half = Self::Float { bytes: bytes / 2 };
        Self::Structure { bytes, align: bytes / 2, fields: vec![(0, half.clone()), (bytes / 2, half)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(place: &Place) -> Vec<&'static str> {
        match place {
            Place::Registers(pieces) => pieces.iter().map(|piece| piece.register).collect(),
            Place::Stack(_) => Vec::new(),
        }
    }

    /// The example of abi-internal.md: `func f(a1 uint8, a2 [2]uintptr, a3 uint8) (r1 struct { x uintptr; y [2]uintptr
    /// }, r2 string)`.
    #[test]
    fn the_example_of_the_convention() {
        let byte = Shape::Integer { bytes: 1 };
        let word = Shape::Integer { bytes: 8 };
        let pair = Shape::Array { length: 2, element: Box::new(word.clone()) };
        let first = Shape::Structure { bytes: 24, align: 8, fields: vec![(0, word), (8, pair.clone())] };
        let found = AMD64.assign(&[byte.clone(), pair, byte], &[first, Shape::words(2, 8)]);
        assert_eq!(registers(&found.parameters[0]), ["rax"]);
        assert_eq!(found.parameters[1], Place::Stack(0));
        assert_eq!(registers(&found.parameters[2]), ["rbx"]);
        assert_eq!(found.results[0], Place::Stack(16));
        assert_eq!(registers(&found.results[1]), ["rax", "rbx"]);
        assert_eq!((found.stack, found.spill), (40, 8));
    }

    #[test]
    fn a_value_is_never_split_between_registers_and_stack() {
        let strings = vec![Shape::words(2, 8); 5];
        let mut parameters = strings;
        parameters.push(Shape::Pointer);
        let found = AMD64.assign(&parameters, &[]);
        assert_eq!(registers(&found.parameters[3]), ["r9", "r10"]);
        assert_eq!(found.parameters[4], Place::Stack(0), "one register is left, a string needs two");
        assert_eq!(registers(&found.parameters[5]), ["r11"], "what comes behind may have it");
    }

    #[test]
    fn floats_have_registers_of_their_own() {
        let found = ARM64.assign(&[Shape::Float { bytes: 4 }, Shape::Pointer, Shape::complex(16)], &[]);
        let names: Vec<_> = found.parameters.iter().map(registers).collect();
        assert_eq!(names, [vec!["v0"], vec!["x0"], vec!["v1", "v2"]]);
        let empty = Shape::Structure { bytes: 0, align: 1, fields: Vec::new() };
        assert_eq!(ARM64.assign(&[empty], &[]).parameters, [Place::Stack(0)]);
        assert_eq!(
            Registers::stack_only(8).assign(&[Shape::Pointer], &[Shape::Pointer]).results,
            [Place::Stack(8)]
        );
    }
}
