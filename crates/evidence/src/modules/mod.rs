//! Go modules: whether what a build reads is what `go.sum` promised, and whether `go.sum` is what the checksum
//! database promised to everyone.
//!
//! Three witnesses are held against each other: the module's content in the module cache (its zip, and the folder that
//! the compiler reads), the `h1:` lines of `go.sum` (golang.org/ref/mod#go-sum-files), and the database's signed tree
//! (golang.org/design/25530-sumdb, "Checksum Database"). Content is hashed as a stream; nothing is unpacked.

mod cache;
mod database;
mod error;
mod gosum;

pub use cache::Cache;
pub(crate) use database::fuzz;
pub use database::{Copy, Database, Files, Proven, SUM_GOLANG_ORG};
pub use error::ModulesError;
pub use gosum::{Sum, SumOf, parse};

/// What the module cache says about a line of `go.sum`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Everything that is there has the hash.
    Holds,
    /// It is not in the cache.
    Absent,
    /// A copy has another hash.
    Differs {
        /// Which copy: `zip`, `folder` or `mod`.
        copy: &'static str,
        /// Its hash.
        found: String,
    },
    /// A copy cannot be what a Go proxy serves.
    Unreadable {
        /// Which copy.
        copy: &'static str,
        /// Why.
        reason: String,
    },
}

impl Content {
    /// Whether the content contradicts the line.
    #[must_use]
    pub fn lies(&self) -> bool {
        matches!(self, Self::Differs { .. } | Self::Unreadable { .. })
    }
}

/// What the database says about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listed {
    /// It has the same hash, proved to be in its signed tree.
    Holds(Proven),
    /// It has another hash.
    Differs {
        /// The database's.
        found: String,
    },
    /// It has no such line, or not in this copy of it.
    Absent,
    /// What it says is not in a tree that it signed.
    Unproven {
        /// Why.
        reason: String,
    },
}

/// What `database` says about `sum`.
pub fn look_up<F: Files>(database: &mut Database<F>, sum: &Sum) -> Listed {
    match database.look_up(&sum.module, &sum.version) {
        Ok(None) => Listed::Absent,
        Err(error) => Listed::Unproven { reason: error.reason() },
        Ok(Some((sums, proven))) => match sums.iter().find(|s| s.of == sum.of) {
            Some(listed) if listed.hash == sum.hash => Listed::Holds(proven),
            Some(listed) => Listed::Differs { found: listed.hash.clone() },
            None => Listed::Absent,
        },
    }
}
