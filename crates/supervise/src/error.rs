//! What can go wrong, grouped by who must act.

use std::io;
use std::path::PathBuf;

use crate::verify::Image;

/// Why a service could not be started or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// The finding itself: the image is not what the verifier wants.
    #[error("{} was refused: {reason}", image.executable.path.display())]
    Refused {
        /// What was measured.
        image: Box<Image>,
        /// The verifier's reason.
        reason: String,
    },

    /// Usage: no command was given, or it holds a NUL byte.
    #[error("the command cannot be passed to the kernel: {0}")]
    Command(&'static str),
    /// Usage: no such program on the `PATH`.
    #[error("no program `{0}` on the PATH")]
    NotFound(String),
    /// Usage: a program that the kernel starts through an interpreter cannot be verified by its own content.
    #[error(
        "{0} is a script or is run by an interpreter: what would be mapped is the interpreter, not the script"
    )]
    Script(PathBuf),
    /// Usage: not an address to listen on.
    #[error("`{given}` is not an address to listen on: {problem}")]
    Address {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        problem: String,
    },

    /// The program could not be executed.
    #[error("cannot execute {}", path.display())]
    Exec {
        /// The program.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A socket could not be opened.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// `ptrace(2)` is refused here, so nothing can be verified before it runs.
    #[error("the kernel refuses ptrace, and without it nothing can be verified before it runs")]
    Trace(#[source] io::Error),
    /// This kernel lets a running executable be written, so a measurement would not hold.
    #[error("this kernel lets a running executable be written, so a measurement of it would not hold")]
    Writable,
    /// The program lies where somebody else can change it behind this kernel's back.
    #[error("{} is on a {kind} file system, whose content can change behind this kernel's back", path.display())]
    Remote {
        /// The program.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// The mapped image could not be read.
    #[error("cannot measure {what}")]
    Measure {
        /// What was to be measured.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A control group was demanded and cannot be had.
    #[error("cannot make a control group")]
    Cgroup(#[source] io::Error),
    /// A system call that does not fail on a sound system failed.
    #[error("cannot {what}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The process ended in its exec-stop, before it was let go.
    #[error("the process was killed from outside before it was let go")]
    KilledInStop,
    /// Processes of the service are still there after SIGKILL.
    #[error("{0} processes of the service cannot be killed")]
    Unkillable(usize),
    /// No verified start on this platform.
    #[error("supervision is not available on this platform")]
    Platform,
}

/// Who must act on an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The evidence is bad: the finding itself.
    Evidence,
    /// The caller asked for something wrong.
    Caller,
    /// This machine cannot do it.
    Environment,
}

impl SuperviseError {
    /// Who must act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Refused { .. } => Blame::Evidence,
            Self::Command(_) | Self::NotFound(_) | Self::Script(_) | Self::Address { .. } => Blame::Caller,
            Self::Exec { source, .. } => match source.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory => Blame::Caller,
                _ if source.raw_os_error() == Some(ENOEXEC) => Blame::Caller,
                _ => Blame::Environment,
            },
            _ => Blame::Environment,
        }
    }

    /// The mend, where one is known.
    #[must_use]
    pub fn mend(&self) -> Option<&'static str> {
        Some(match self {
            Self::Script(_) => "seal and start the program itself, or start the script with `--unsealed`",
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::ExecutableFileBusy => {
                "somebody has the file open for writing; find them with `fuser -v FILE`, and start again when they are done"
            }
            Self::Exec { source, .. } if source.raw_os_error() == Some(ENOEXEC) => {
                "it is not an executable of this machine"
            }
            Self::Trace(_) => {
                "allow ptrace of own children: `sysctl kernel.yama.ptrace_scope=1` or lower, and in containers \
                 a seccomp profile that permits ptrace (`--cap-add SYS_PTRACE`)"
            }
            Self::Writable => {
                "use a kernel that denies it: any Linux but 6.11 and the first of 6.12, and not a user-space kernel"
            }
            Self::Remote { .. } => "copy the program to a local disk and start it there",
            Self::Cgroup(_) => "let the supervisor find descendants by itself: `--containment reaper`",
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "somebody else listens there; find them with `ss -ltnp`"
            }
            Self::Platform => "run it on Linux",
            _ => return None,
        })
    }
}

/// `ENOEXEC` has this number on every platform that has it.
const ENOEXEC: i32 = 8;
