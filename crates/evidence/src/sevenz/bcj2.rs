//! BCJ2: four streams into one. Targets of x86 calls and jumps stand in two streams of their own, as absolute
//! addresses with the highest byte first; a range coder says which of them were taken out.
//!
//! The model is that of the LZMA SDK (`Bcj2.h`): probabilities of eleven bits that move by a thirty-second, one for
//! each byte before a call, one for `E9`, one for the conditional jumps.

use std::io::{self, BufRead, Read};

const HALF: u16 = 1 << 10;
const TOTAL: u16 = 1 << 11;
const MOVE: u32 = 5;
/// Below it, the range takes another byte.
const TOP: u32 = 1 << 24;

pub(super) struct Bcj2<'a> {
    main: Box<dyn BufRead + 'a>,
    calls: Box<dyn BufRead + 'a>,
    jumps: Box<dyn BufRead + 'a>,
    coder: RangeCoder<'a>,
    models: [u16; 258],
    before: u8,
    /// Bytes given so far, an address of 32 bits.
    at: u32,
    left: u64,
    /// The bytes of an address that did not fit into the reader's buffer.
    pending: [u8; 4],
    waiting: usize,
}

struct RangeCoder<'a> {
    input: Box<dyn BufRead + 'a>,
    range: u32,
    code: u32,
    started: bool,
}

impl RangeCoder<'_> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn bit(&mut self, model: &mut u16) -> io::Result<bool> {
        if !self.started {
            self.started = true;
            for _ in 0..5 {
                self.code = self.code << 8 | u32::from(self.byte()?);
            }
        }
        if self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(self.byte()?);
        }
        let bound = (self.range >> 11) * u32::from(*model);
        let one = self.code >= bound;
        if one {
            self.range -= bound;
            self.code -= bound;
            *model -= *model >> MOVE;
        } else {
            self.range = bound;
            *model += (TOTAL - *model) >> MOVE;
        }
        Ok(one)
    }
}

impl<'a> Bcj2<'a> {
    /// `size` is what it gives.
    pub(super) fn new([main, calls, jumps, input]: [Box<dyn BufRead + 'a>; 4], size: u64) -> Self {
        let coder = RangeCoder { input, range: u32::MAX, code: 0, started: false };
        Self {
            main,
            calls,
            jumps,
            coder,
            models: [HALF; 258],
            before: 0,
            at: 0,
            left: size,
            pending: [0; 4],
            waiting: 0,
        }
    }

    /// Copies up to and including the next byte that may be a branch; gives how many, and whether it is one.
    fn copy(&mut self, out: &mut [u8]) -> io::Result<(usize, bool)> {
        let ready = self.main.fill_buf()?;
        let mut before = self.before;
        let mut branch = false;
        let mut count = 0;
        for (to, byte) in out.iter_mut().zip(ready) {
            *to = *byte;
            count += 1;
            branch = byte & 0xfe == 0xe8 || (before == 0x0f && byte & 0xf0 == 0x80);
            before = *byte;
            if branch {
                break;
            }
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.main.consume(count);
        Ok((count, branch))
    }

    /// Behind a branch `opcode` that followed `before`: its target, if it was taken out.
    fn target(&mut self, before: u8, opcode: u8) -> io::Result<Option<[u8; 4]>> {
        let model = match opcode {
            0xe8 => usize::from(before),
            0xe9 => 256,
            _ => 257,
        };
        if !self.coder.bit(&mut self.models[model])? {
            return Ok(None);
        }
        let mut absolute = [0; 4];
        let stream = if opcode == 0xe8 { &mut self.calls } else { &mut self.jumps };
        stream.read_exact(&mut absolute)?;
        let behind = self.at.wrapping_add(4);
        Ok(Some(u32::from_be_bytes(absolute).wrapping_sub(behind).to_le_bytes()))
    }

    /// Gives what waits; how much that was.
    fn give(&mut self, out: &mut [u8]) -> usize {
        let count = self.waiting.min(out.len());
        let from = 4 - self.waiting;
        out[..count].copy_from_slice(&self.pending[from..from + count]);
        self.waiting -= count;
        count
    }
}

impl Read for Bcj2<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let out = &mut out[..room];
        let mut filled = self.give(out);
        while filled < out.len() {
            let (count, branch) = self.copy(&mut out[filled..])?;
            let opcode = out[filled + count - 1];
            let before = if count > 1 { out[filled + count - 2] } else { self.before };
            filled += count;
            self.before = opcode;
            self.at = self.at.wrapping_add(u32::try_from(count).unwrap_or(0));
            // The last byte of all has no target behind it.
            let more = self.left > filled as u64;
            if branch
                && more
                && let Some(target) = self.target(before, opcode)?
            {
                self.before = target[3];
                self.at = self.at.wrapping_add(4);
                self.pending = target;
                self.waiting = 4;
                filled += self.give(&mut out[filled..]);
            }
        }
        self.left -= filled as u64;
        Ok(filled)
    }
}
