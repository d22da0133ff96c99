//! `submission.json`: what became of a submission, beside what was submitted.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::aside;
use crate::cmd::pe::credential::read_up_to;
use crate::failure::{Failure, Outcome};

/// Its name in the folder.
pub(super) const NAME: &str = "submission.json";
/// A few hundred bytes.
const MAX_STATE: u64 = 1 << 20;

/// Where a submission stands.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// The folder is ready.
    Prepared,
    /// It was handed in and has a number.
    Submitted,
    /// It was found to be clean.
    Clean,
    /// It is still taken for malware.
    Malware,
    /// It is taken for something that people do not want.
    Unwanted,
    /// Nobody could tell.
    Undetermined,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Submitted => "submitted",
            Self::Clean => "clean",
            Self::Malware => "malware",
            Self::Unwanted => "unwanted",
            Self::Undetermined => "undetermined",
        }
    }

    /// Whether nothing more is expected.
    pub(super) fn is_final(self) -> bool {
        !matches!(self, Self::Prepared | Self::Submitted)
    }
}

/// The names are part of the format.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    pub(super) version: u32,
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) prepared: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) submitted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decided: Option<String>,
}

impl Submission {
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(NAME);
        let bytes = read_up_to(&path, MAX_STATE)?;
        let submission: Self = serde_json::from_slice(&bytes).map_err(|e| {
            Failure::input(anyhow::Error::from(e).context(format!("cannot use `{}`", path.display())))
        })?;
        match submission.version {
            1 => Ok(submission),
            other => Err(Failure::input(anyhow::anyhow!("`{}` is of version {other}", path.display()))),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Outcome {
        write_json(&folder.join(NAME), self)
    }
}

/// Writes a document for people and programs, in one step.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Outcome {
    let mut text = serde_json::to_vec_pretty(value).map_err(Failure::input)?;
    text.push(b'\n');
    write(path, &text)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Outcome {
    aside::write(path, bytes).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write `{}`", path.display())))
    })
}
