//! The field's operations in x86-64 assembly, with BMI2 and ADX: two carry chains at once, which the compiler does not
//! write. The only module of `sm2` that may use `unsafe`.
//!
//! What makes it sound: [`Adx`] exists only where the processor has the instructions; the assembly reads the 32 bytes
//! behind each reference, writes registers alone, and neither branches nor uses the stack. Its results are those of
//! the portable functions in `field`, bit for bit, which a test compares.
#![expect(unsafe_code, reason = "assembly that reads through references")]

use core::arch::asm;
use core::sync::atomic::{AtomicU8, Ordering};

use super::super::limbs::Limbs;
use crate::cpu::detected;

/// The processor has BMI2 and ADX.
#[derive(Clone, Copy)]
pub(super) struct Adx(());

/// Zero until the processor was asked.
static ANSWER: AtomicU8 = AtomicU8::new(0);
const YES: u8 = 1;
const NO: u8 = 2;

/// One step of Montgomery's reduction, as `reduce_step` in `field`: adds `$m * p` to `$m + 2^64 * ($x, $y, $z)` and
/// drops the lowest limb. The result is in `$x, $y, $z, $m`.
macro_rules! step {
    ($m:literal, $x:literal, $y:literal, $z:literal) => {
        concat!(
            "mov rax, ",
            $m,
            "\n shl rax, 32\n mov rcx, ",
            $m,
            "\n shr rcx, 32\n",
            "add ",
            $x,
            ", ",
            $m,
            "\n adc ",
            $y,
            ", 0\n adc ",
            $z,
            ", 0\n adc ",
            $m,
            ", 0\n",
            "sub ",
            $x,
            ", rax\n sbb ",
            $y,
            ", rcx\n sbb ",
            $z,
            ", rax\n sbb ",
            $m,
            ", rcx\n",
        )
    };
}

/// Reduces r8 to r15 and leaves the result in r12 to r15.
macro_rules! reduce {
    () => {
        concat!(
            step!("r8", "r9", "r10", "r11"),
            step!("r9", "r10", "r11", "r8"),
            step!("r10", "r11", "r8", "r9"),
            step!("r11", "r8", "r9", "r10"),
            "add r8, r12\n adc r9, r13\n adc r10, r14\n adc r11, r15\n mov edx, 0\n adc edx, 0\n",
            "mov rax, 0xffffffff00000000\n mov rcx, 0xfffffffeffffffff\n",
            "mov r12, r8\n mov r13, r9\n mov r14, r10\n mov r15, r11\n",
            "sub r12, -1\n sbb r13, rax\n sbb r14, -1\n sbb r15, rcx\n sbb rdx, 0\n",
            "cmovc r12, r8\n cmovc r13, r9\n cmovc r14, r10\n cmovc r15, r11\n",
        )
    };
}

/// Adds rdx times the number at `{a}` to `$t0` to `$t4`, which stays below 2^320.
macro_rules! row {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal, $t4:literal) => {
        concat!(
            "xor eax, eax\n",
            "mulx rcx, rax, [{a}]\n adcx ",
            $t0,
            ", rax\n adox ",
            $t1,
            ", rcx\n",
            "mulx rcx, rax, [{a} + 8]\n adcx ",
            $t1,
            ", rax\n adox ",
            $t2,
            ", rcx\n",
            "mulx rcx, rax, [{a} + 16]\n adcx ",
            $t2,
            ", rax\n adox ",
            $t3,
            ", rcx\n",
            "mulx rcx, rax, [{a} + 24]\n adcx ",
            $t3,
            ", rax\n adox ",
            $t4,
            ", rcx\n",
            "adc ",
            $t4,
            ", 0\n",
        )
    };
}

/// The step between two rows: `$m * p` is added to `$m, $x, $y, $z, $w`, whose lowest limb vanishes; the carry goes
/// into `$m`, which is the highest limb of the next row.
macro_rules! step_between {
    ($m:literal, $x:literal, $y:literal, $z:literal, $w:literal) => {
        concat!(
            "mov rax, ",
            $m,
            "\n shl rax, 32\n mov rcx, ",
            $m,
            "\n shr rcx, 32\n",
            "add ",
            $x,
            ", ",
            $m,
            "\n adc ",
            $y,
            ", 0\n adc ",
            $z,
            ", 0\n adc ",
            $w,
            ", ",
            $m,
            "\n",
            "mov ",
            $m,
            ", 0\n adc ",
            $m,
            ", 0\n",
            "sub ",
            $x,
            ", rax\n sbb ",
            $y,
            ", rcx\n sbb ",
            $z,
            ", rax\n sbb ",
            $w,
            ", rcx\n sbb ",
            $m,
            ", 0\n",
        )
    };
}

impl Adx {
    /// Asked at every operation, so that the answer is kept in one byte: the standard library's own record of it takes
    /// eight instructions for these two features.
    #[inline(always)]
    pub(super) fn detect() -> Option<Self> {
        match ANSWER.load(Ordering::Relaxed) {
            YES => Some(Self(())),
            NO => None,
            _ => Self::ask(),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask() -> Option<Self> {
        let here = detected!("bmi2", "adx");
        ANSWER.store(if here { YES } else { NO }, Ordering::Relaxed);
        here.then_some(Self(()))
    }

    /// `a * b / 2^256` mod p.
    #[inline(always)]
    pub(super) fn mul(self, a: &Limbs, b: &Limbs) -> Limbs {
        let (x0, x1, x2);
        let x3: u64;
        // SAFETY: `self` proves the instructions; the 32 bytes behind `a` and `b` are read, only the registers named
        // are written, and the flags are declared clobbered by default.
        unsafe {
            asm!(
                "mov rdx, [{b}]",
                "mulx r9, r8, [{a}]",
                "mulx r10, rax, [{a} + 8]",
                "add r9, rax",
                "mulx r11, rax, [{a} + 16]",
                "adc r10, rax",
                "mulx r12, rax, [{a} + 24]",
                "adc r11, rax",
                "adc r12, 0",
                step_between!("r8", "r9", "r10", "r11", "r12"),
                "mov rdx, [{b} + 8]",
                row!("r9", "r10", "r11", "r12", "r8"),
                step_between!("r9", "r10", "r11", "r12", "r8"),
                "mov rdx, [{b} + 16]",
                row!("r10", "r11", "r12", "r8", "r9"),
                step_between!("r10", "r11", "r12", "r8", "r9"),
                "mov rdx, [{b} + 24]",
                row!("r11", "r12", "r8", "r9", "r10"),
                step_between!("r11", "r12", "r8", "r9", "r10"),
                // r12, r8, r9, r10 and the carry r11, below 2p: less p, unless that is negative.
                "mov rax, r12",
                "mov rcx, r8",
                "mov rdx, r9",
                "mov {a}, r10",
                "sub rax, -1",
                "sbb rcx, {p1}",
                "sbb rdx, -1",
                "sbb {a}, {p3}",
                "sbb r11, 0",
                "cmovc rax, r12",
                "cmovc rcx, r8",
                "cmovc rdx, r9",
                "cmovc {a}, r10",
                a = inout(reg) a.as_ptr() => x3,
                b = in(reg) b.as_ptr(),
                p1 = in(reg) super::P[1],
                p3 = in(reg) super::P[3],
                out("rax") x0, out("rcx") x1, out("rdx") x2,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
                options(pure, readonly, nostack),
            );
        }
        [x0, x1, x2, x3]
    }

    /// `a * a / 2^256` mod p.
    #[inline(always)]
    pub(super) fn square(self, a: &Limbs) -> Limbs {
        let (x0, x1, x2, x3);
        // SAFETY: as in `mul`.
        unsafe {
            asm!(
                // The products of different limbs,
                "mov rdx, [{a}]",
                "mulx r10, r9, [{a} + 8]",
                "mulx r11, rax, [{a} + 16]",
                "add r10, rax",
                "mulx r12, rax, [{a} + 24]",
                "adc r11, rax",
                "adc r12, 0",
                "mov rdx, [{a} + 8]",
                "xor r13, r13",
                "mulx rcx, rax, [{a} + 16]",
                "adcx r11, rax",
                "adox r12, rcx",
                "mulx rcx, rax, [{a} + 24]",
                "adcx r12, rax",
                "adox r13, rcx",
                "adc r13, 0",
                "mov rdx, [{a} + 16]",
                "mulx r14, rax, [{a} + 24]",
                "add r13, rax",
                "adc r14, 0",
                // twice, by one chain, while the other adds the squares.
                "xor r15, r15",
                "mov rdx, [{a}]",
                "mulx rcx, r8, rdx",
                "adcx r9, r9",
                "adox r9, rcx",
                "mov rdx, [{a} + 8]",
                "mulx rcx, rax, rdx",
                "adcx r10, r10",
                "adox r10, rax",
                "adcx r11, r11",
                "adox r11, rcx",
                "mov rdx, [{a} + 16]",
                "mulx rcx, rax, rdx",
                "adcx r12, r12",
                "adox r12, rax",
                "adcx r13, r13",
                "adox r13, rcx",
                "mov rdx, [{a} + 24]",
                "mulx rcx, rax, rdx",
                "adcx r14, r14",
                "adox r14, rax",
                "adcx r15, r15",
                "adox r15, rcx",
                reduce!(),
                a = in(reg) a.as_ptr(),
                out("rax") _, out("rcx") _, out("rdx") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                out("r12") x0, out("r13") x1, out("r14") x2, out("r15") x3,
                options(pure, readonly, nostack),
            );
        }
        [x0, x1, x2, x3]
    }

    /// `a + b` mod p.
    #[inline(always)]
    pub(super) fn add(self, a: &Limbs, b: &Limbs) -> Limbs {
        let [mut x0, mut x1, mut x2, mut x3] = *a;
        // SAFETY: the 32 bytes behind `b` are read, and only registers are written.
        unsafe {
            asm!(
                "add {x0}, [{b}]",
                "adc {x1}, [{b} + 8]",
                "adc {x2}, [{b} + 16]",
                "adc {x3}, [{b} + 24]",
                "mov {t2:e}, 0",
                "adc {t2:e}, 0",
                "mov {t0}, {x0}",
                "mov {t1}, {x1}",
                "mov {t3}, {x3}",
                "sub {t0}, -1",
                "sbb {t1}, {p1}",
                "mov {c}, {x2}",
                "sbb {c}, -1",
                "sbb {t3}, {p3}",
                "sbb {t2}, 0",
                "cmovnc {x0}, {t0}",
                "cmovnc {x1}, {t1}",
                "cmovnc {x2}, {c}",
                "cmovnc {x3}, {t3}",
                x0 = inout(reg) x0, x1 = inout(reg) x1, x2 = inout(reg) x2, x3 = inout(reg) x3,
                t0 = out(reg) _, t1 = out(reg) _, t2 = out(reg) _, t3 = out(reg) _, c = out(reg) _,
                b = in(reg) b.as_ptr(),
                p1 = in(reg) super::P[1],
                p3 = in(reg) super::P[3],
                options(pure, readonly, nostack),
            );
        }
        [x0, x1, x2, x3]
    }

    /// `a - b` mod p.
    #[inline(always)]
    pub(super) fn sub(self, a: &Limbs, b: &Limbs) -> Limbs {
        let [mut x0, mut x1, mut x2, mut x3] = *a;
        // SAFETY: as in `add`.
        unsafe {
            asm!(
                "sub {x0}, [{b}]",
                "sbb {x1}, [{b} + 8]",
                "sbb {x2}, [{b} + 16]",
                "sbb {x3}, [{b} + 24]",
                // p where there was a borrow: its limbs are all ones but for the low half of the second and bit 32 of
                // the fourth.
                "sbb {t0}, {t0}",
                "mov {t1}, {t0}",
                "shl {t1}, 32",
                "mov {t3}, {t0}",
                "btr {t3}, 32",
                "add {x0}, {t0}",
                "adc {x1}, {t1}",
                "adc {x2}, {t0}",
                "adc {x3}, {t3}",
                x0 = inout(reg) x0, x1 = inout(reg) x1, x2 = inout(reg) x2, x3 = inout(reg) x3,
                t0 = out(reg) _, t1 = out(reg) _, t3 = out(reg) _,
                b = in(reg) b.as_ptr(),
                options(pure, readonly, nostack),
            );
        }
        [x0, x1, x2, x3]
    }
}
