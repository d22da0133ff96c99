//! The commands, one file a noun. Each takes its parsed arguments and the context, and prints through [`Output`].

pub(crate) mod anchor;
pub(crate) mod audit;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod modules;
pub(crate) mod patch;
pub(crate) mod pe;
pub(crate) mod probe;
pub(crate) mod run;
pub(crate) mod seal;
pub(crate) mod serve;
pub(crate) mod toolchain;
pub(crate) mod verify;

use crate::home::Home;
use crate::output::Output;
use crate::recorder::Recorder;

/// What every command is given.
pub(crate) struct Context {
    /// The home that the flags and the environment name; it may not exist yet.
    pub(crate) home: Home,
    /// How to print.
    pub(crate) output: Output,
    /// The home's ledger, opened when it is first needed.
    pub(crate) recorder: Recorder,
}
