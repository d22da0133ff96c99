//! Which words of a module's data hold pointers: the programs that the linker writes (`runtime.gcdata`, `runtime.gcbss`)
//! run to the masks that the collector reads. Form: `runtime/mbitmap.go`, `runGCProg`.

/// A mask longer than this (in words of data) is refused.
const MAX_WORDS: usize = 1 << 27;

/// Runs a program; the mask covers `words` words. `None` for a program that is none, or that writes more.
pub(crate) fn run(program: &[u8], words: usize) -> Option<Vec<u8>> {
    if words > MAX_WORDS {
        return None;
    }
    let mut bits: Vec<bool> = Vec::with_capacity(words);
    let mut rest = program;
    loop {
        let (&step, tail) = rest.split_first()?;
        rest = tail;
        let count = usize::from(step & 0x7f);
        if step == 0 {
            break;
        }
        if step & 0x80 == 0 {
            let bytes = rest.get(..count.div_ceil(8))?;
            bits.extend((0..count).map(|at| bytes[at / 8] >> (at % 8) & 1 == 1));
            rest = &rest[bytes.len()..];
        } else {
            let length = if count == 0 { variable(&mut rest)? } else { count };
            let times = variable(&mut rest)?;
            let from = bits.len().checked_sub(length)?;
            if length.checked_mul(times)?.checked_add(bits.len())? > words {
                return None;
            }
            for _ in 0..times {
                bits.extend_from_within(from..from + length);
            }
        }
        if bits.len() > words {
            return None;
        }
    }
    bits.resize(words, false);
    Some(
        bits.chunks(8)
            .map(|c| c.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at))
            .collect(),
    )
}

fn variable(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..35).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn bits_are_written_and_repeated() {
        // Three bits 101, the last two (01) twice more: 101 01 01.
        assert_eq!(run(&[3, 0b101, 0x82, 2, 0], 7), Some(vec![0b101_0101]));
        // The length after an empty count: 1, then that bit nine times.
        assert_eq!(run(&[1, 1, 0x80, 1, 9, 0], 10), Some(vec![0xff, 0b11]));
        assert_eq!(run(&[0], 9), Some(vec![0, 0]));
    }

    #[test]
    fn what_is_no_program_has_no_mask() {
        for program in
            [&[][..], &[9, 1], &[0x82, 1, 0], &[1, 1, 0x81, 0xff, 0xff, 0xff, 0xff, 0x0f, 0], &[9, 1, 1, 0]]
        {
            assert_eq!(run(program, 8), None, "{program:?}");
        }
    }
}
