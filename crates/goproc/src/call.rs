//! System calls that a thread of the process makes for us, and after which it restores its registers **by itself**.
//!
//! The usual way (change the registers, run one call, put the registers back) leaves a thread with our registers when
//! we die in the middle. Here the thread's true state is written below its stack pointer first, and the registers are
//! then set once, to a *loan*: 29 bytes of code, `syscall; pop …; popfq; ret 128`. From that moment on the thread finds
//! back alone, whether we live or not. We only look on: at the exit from the call we read its result.
//!
//! The loan is written over `int3` padding between two functions, which nothing executes, and taken out again when no
//! thread stands in it. A loan that our death left behind is recognised and used again.
//!
//! Only a thread on its scheduler's stack (`g0`) may lend: there the Go runtime preempts nothing and walks no frames,
//! and there is room below the stack pointer. A call in which the thread was interrupted is restarted as the kernel
//! would do it (`ERESTART*`, signal(7) "Interruption of system calls").

use std::io;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::process::Process;
use crate::sys::{self, Registers};
use crate::tracer::Tracer;

/// `syscall; pop rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 … r15; popfq; ret 128`.
pub const LOAN: [u8; 29] = [
    0x0f, 0x05, 0x58, 0x5b, 0x59, 0x5a, 0x5e, 0x5f, 0x5d, 0x41, 0x58, 0x41, 0x59, 0x41, 0x5a, 0x41, 0x5b,
    0x41, 0x5c, 0x41, 0x5d, 0x41, 0x5e, 0x41, 0x5f, 0x9d, 0xc2, 0x80, 0x00,
];
const PADDING: [u8; LOAN.len()] = [0xcc; LOAN.len()];
/// What the System V ABI lets a leaf function use below the stack pointer (§3.2.2); C code of a cgo program may.
const RED_ZONE: u64 = 128;
/// Saved below the red zone: fifteen registers, the flags, the address to go on at.
const SAVED: u64 = 17 * 8;
const PATIENCE: Duration = Duration::from_secs(2);

/// How much room below the stack pointer a lender must have.
pub const ROOM: u64 = RED_ZONE + SAVED + 1024;

/// A thread that makes calls for us.
#[derive(Debug)]
pub struct Lender<'p> {
    tracer: Tracer<'p>,
    thread: i32,
    loan: u64,
    /// The stack pointer of the saved state, once it is written.
    frame: Option<u64>,
    held: Vec<i32>,
}

/// Where a loan can stand: the first run of padding in `text`, which lies at `address`; one that was left behind first.
#[must_use]
pub fn place(text: &[u8], address: u64) -> Option<u64> {
    let find = |needle: &[u8]| text.windows(needle.len()).position(|window| window == needle);
    find(&LOAN).or_else(|| find(&PADDING)).map(|at| address + at as u64)
}

impl<'p> Lender<'p> {
    /// Stops `thread`, if its stack pointer is in `stack` with room below, and puts the loan at `loan`.
    ///
    /// # Errors
    /// [`Error::NoDonor`] when the thread is elsewhere; it then runs as before.
    pub fn borrow(process: &'p Process, thread: i32, stack: (u64, u64), loan: u64) -> Result<Self> {
        let mut tracer = Tracer::seize_one(process, thread)?;
        tracer.stop_one(thread, PATIENCE)?;
        let registers = tracer.registers(thread)?;
        if registers.rsp < stack.0.saturating_add(ROOM) || registers.rsp >= stack.1 {
            tracer.release()?;
            return Err(Error::NoDonor);
        }
        let mut found = PADDING;
        process.read(loan, &mut found)?;
        if found != LOAN {
            if found != PADDING {
                return Err(Error::damaged(format!("there is no padding at {loan:#x} in the process")));
            }
            process.write_forced(loan, &LOAN)?;
        }
        // A handler that began now would run on the borrowed state; it begins when the thread was given back.
        let held = tracer.take_signal(thread).into_iter().collect();
        Ok(Self { tracer, thread, loan, frame: None, held })
    }

    /// Lets the thread make one system call; returns what the kernel answered.
    ///
    /// # Errors
    /// [`Error::Remote`] when the kernel answered with an error.
    pub fn call(&mut self, number: u64, arguments: [u64; 6]) -> Result<u64> {
        let mut registers = self.tracer.registers(self.thread)?;
        let frame = match self.frame {
            Some(frame) => frame,
            None => self.save(&registers)?,
        };
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
        registers.rax = number;
        registers.rip = self.loan;
        registers.rsp = frame;
        registers.orig_rax = u64::MAX;
        self.tracer.set_registers(self.thread, &registers)?;
        self.tracer.run_to_system_call(self.thread, &mut self.held)?;
        self.tracer.run_to_system_call(self.thread, &mut self.held)?;
        let answer = self.tracer.registers(self.thread)?.rax.cast_signed();
        match answer {
            -4095..=-1 => Err(Error::Remote {
                number,
                source: io::Error::from_raw_os_error(i32::try_from(-answer).unwrap_or(libc::EINVAL)),
            }),
            other => Ok(other.cast_unsigned()),
        }
    }

    /// Lets the thread go back to where it was, and takes the loan out when it has left it.
    ///
    /// # Errors
    /// When the thread cannot be steered; the loan then stays, which harms nothing.
    pub fn give_back(mut self) -> Result<()> {
        let mut inside = true;
        for _ in 0..1000 {
            match self.step_out() {
                Ok(still) => inside = still,
                // It left the loan, and ended, as threads do.
                Err(Error::Gone { .. }) => inside = false,
                Err(other) => return Err(other),
            }
            if !inside {
                break;
            }
        }
        if !inside {
            self.tracer.process().write_forced(self.loan, &PADDING)?;
        }
        let (pid, thread) = (self.tracer.process().pid(), self.thread);
        self.tracer.release()?;
        for signal in self.held {
            match sys::signal_thread(pid, thread, signal) {
                Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                    return Err(crate::process::refused("signal a thread", thread, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets the thread run for a moment; is it still in the loan?
    fn step_out(&mut self) -> Result<bool> {
        self.tracer.go_on()?;
        self.tracer.stop_one(self.thread, PATIENCE)?;
        // Delivered inside the loan, a signal's handler would return into what is padding again by then.
        self.held.extend(self.tracer.take_signal(self.thread));
        let at = self.tracer.registers(self.thread)?.rip;
        Ok((self.loan..self.loan + LOAN.len() as u64).contains(&at))
    }

    /// Writes the thread's state where the loan pops it from.
    fn save(&mut self, now: &Registers) -> Result<u64> {
        let state = after_restart(now);
        let words = [
            state.rax,
            state.rbx,
            state.rcx,
            state.rdx,
            state.rsi,
            state.rdi,
            state.rbp,
            state.r8,
            state.r9,
            state.r10,
            state.r11,
            state.r12,
            state.r13,
            state.r14,
            state.r15,
            state.eflags,
            state.rip,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let frame = state.rsp - RED_ZONE - SAVED;
        self.tracer.process().write(frame, &bytes)?;
        self.frame = Some(frame);
        Ok(frame)
    }
}

/// The state in which the kernel would let the thread go on: an interrupted call is made again.
fn after_restart(now: &Registers) -> Registers {
    const SYSCALL_LENGTH: u64 = 2;
    let mut state = *now;
    if now.orig_rax.cast_signed() >= 0 {
        match now.rax.cast_signed() {
            // ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND: no handler runs, so all three begin anew.
            -514..=-512 => {
                state.rax = now.orig_rax;
                state.rip -= SYSCALL_LENGTH;
            }
            // ERESTART_RESTARTBLOCK: goes on with the time that is left.
            -516 => {
                state.rax = libc::SYS_restart_syscall.cast_unsigned();
                state.rip -= SYSCALL_LENGTH;
            }
            _ => {}
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loan_is_found_again_before_padding_is() {
        let mut text = vec![0xcc; 100];
        assert_eq!(place(&text, 0x1000), Some(0x1000));
        text[50..50 + LOAN.len()].copy_from_slice(&LOAN);
        assert_eq!(place(&text, 0x1000), Some(0x1032));
        assert_eq!(place(&[0xcc; 28], 0), None);
    }
}
