//! What can go wrong, by who must act.

use std::path::PathBuf;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no probe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Missing capability.
    #[error("probes need {missing}, and this process does not have it")]
    Privilege {
        /// The capability, as `capabilities(7)` names it.
        missing: &'static str,
    },
    /// Missing kernel option.
    #[error("this kernel has no {missing}")]
    Kernel {
        /// The option, as the kernel's configuration names it.
        missing: &'static str,
    },
    /// Not Linux on x86-64.
    #[error("probes work on linux/amd64 only")]
    Platform,
    /// Built where there was no clang.
    #[error("this custody was built without clang, and so without its probes")]
    NotBuilt,
    /// The file or process cannot be read.
    #[error("cannot read {}", path.display())]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no Go executable that this crate understands.
    #[error("{} cannot be probed", path.display())]
    NotGo {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: gobinary::Error,
    },
    /// Nothing that was asked for is there.
    #[error("no function is called `{name}`{}", suggest(near))]
    NoFunction {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// A pattern that takes in too much.
    #[error("{found} functions fit, more than {limit}")]
    TooMany {
        /// How many.
        found: usize,
        /// How many may.
        limit: usize,
    },
    /// A fact about the target that was not found in it.
    #[error("{what} was not found in the executable")]
    Missing {
        /// The fact.
        what: String,
    },
    /// The running process cannot be stopped or read.
    #[error("process {process} cannot be looked at")]
    Process {
        /// Which.
        process: std::num::NonZeroU32,
        /// Why.
        #[source]
        source: goproc::Error,
    },
    /// The kernel refuses the program: a defect of ours, or a kernel that is too old.
    #[error("the kernel does not take the program `{program}`")]
    Program {
        /// Which.
        program: &'static str,
        /// The kernel's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A site cannot be probed.
    #[error("cannot attach at {offset:#x} of the executable")]
    Attach {
        /// Where in the file.
        offset: u64,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn suggest(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there is {}", names.join(", ")) }
}
