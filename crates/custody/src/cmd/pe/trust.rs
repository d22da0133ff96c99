//! Whom a verification trusts, and what it knows of revocation.

use authenticode::verify;
use std::path::PathBuf;

use clap::Args;
use pkix::revocation::{Crl, Evidence, OcspResponse};
use pkix::{Certificate, Time};

use super::credential::{read, read_certificates};
use crate::failure::Failure;

#[derive(Args)]
pub(in crate::cmd) struct TrustArgs {
    /// Trust these authorities, of signers and of timestamps (PEM or DER; repeatable)
    #[arg(long, value_name = "PEM", help_heading = "Trust")]
    ca: Vec<PathBuf>,
    /// Certificates that may stand between (PEM or DER; repeatable)
    #[arg(long, value_name = "PEM", help_heading = "Trust")]
    intermediate: Vec<PathBuf>,
    /// Revocation list (PEM or DER; repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    crl: Vec<PathBuf>,
    /// OCSP response, DER (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    ocsp: Vec<PathBuf>,
    /// Judge at this time instead of now, as 2026-11-20T08:30:00Z
    #[arg(long, value_name = "TIME", help_heading = "Trust")]
    at: Option<jiff::Timestamp>,
}

/// What the arguments name, read.
pub(in crate::cmd) struct Trust {
    pub(in crate::cmd) anchors: Vec<Certificate>,
    pub(in crate::cmd) others: Vec<Certificate>,
    pub(in crate::cmd) revocation: Evidence,
    pub(in crate::cmd) now: Time,
}

impl Trust {
    /// The question put to a verifier; `kernel` asks for the rules of drivers too.
    pub(in crate::cmd) fn request(&self, kernel: bool) -> verify::Request<'_> {
        verify::Request {
            anchors: &self.anchors,
            others: &self.others,
            revocation: &self.revocation,
            now: self.now,
            kernel,
        }
    }
}

impl TrustArgs {
    pub(in crate::cmd) fn read(&self) -> Result<Trust, Failure> {
        let all = |files: &[PathBuf]| -> Result<Vec<Certificate>, Failure> {
            files
                .iter()
                .map(|file| read_certificates(file))
                .collect::<Result<Vec<_>, _>>()
                .map(|v| v.concat())
        };
        let mut revocation = Evidence::default();
        for file in &self.crl {
            let bytes = super::credential::read_up_to(file, pkix::revocation::MAX_CRL as u64)?;
            revocation.crls.extend(Crl::from_pem_or_der(&bytes).map_err(|e| super::unusable(e, file))?);
        }
        for file in &self.ocsp {
            revocation.ocsp.push(OcspResponse::from_der(&read(file)?).map_err(|e| super::unusable(e, file))?);
        }
        let now = self.at.unwrap_or_else(jiff::Timestamp::now);
        Ok(Trust {
            anchors: all(&self.ca)?,
            others: all(&self.intermediate)?,
            revocation,
            now: Time(now.as_second()),
        })
    }
}
