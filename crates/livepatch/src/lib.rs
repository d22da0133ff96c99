//! Live patches: a function of a running Go process is changed from outside, and changed back.
//!
//! [`build`] compares two full builds of one program, the new one linked beside the old one's addresses, and makes a
//! [`Patch`]: exactly the functions that differ, or a refusal with the place and the reason. [`apply`] places it in a
//! process while that runs, and switches in one short stop; [`rollback`] leads back. Why it is done this way stands in
//! docs/design/0026 and 0027, the forms in docs/formats/patch.md.
//!
//! What it does not do: check who signed a patch (the caller does, before [`apply`]), choose processes, wait for
//! goroutines to leave old code, or unmap anything. Patches are built for linux/amd64 programs, at fixed addresses or not,
//! with C code or not; what runs may be stripped if a twin with symbols and debugging data is given ([`Sources`]). They
//! are applied on linux/amd64, one upon another, and taken back in order.
#![forbid(unsafe_code)]

mod build;
mod control;
mod error;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod live;
mod patch;
mod statement;

pub use build::{Sources, build, build_from};
pub use error::{Error, Result};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use live::{Options, Page, Snapshot, Status, Stop, Variable, apply, pile, rollback, status};
pub use patch::{
    Access, FunctionChange, Head, MethodRecord, Patch, Piece, Region, Relied, Source, Switch, Table, Text,
};
pub use statement::{Build, MAX_STATEMENT, PAYLOAD_TYPE, Sealed, Statement};
