//! Who is asked to anchor: named on the command line.

use std::path::PathBuf;

use anchor::rekor::{Api, Rekor};
use anchor::tsa::Tsa;
use anchor::{Anchor, Authority, Evidence, Http};
use clap::Args;

use super::read;
use crate::failure::Failure;

/// Bytes of a file with certificates.
const MAX_CERTIFICATES: usize = 1 << 20;

#[derive(Args)]
pub(super) struct AuthorityArgs {
    /// Timestamp authority, RFC 3161 (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Authorities")]
    tsa: Vec<String>,
    /// Rekor log, version 2 (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Authorities")]
    rekor: Vec<String>,
    /// Rekor log, version 1 (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Authorities")]
    rekor_v1: Vec<String>,
    #[command(flatten)]
    web: WebArgs,
}

/// How others are reached.
#[derive(Args)]
pub(super) struct WebArgs {
    /// Trust these authorities for https instead of those of the system (PEM; repeatable)
    #[arg(long, value_name = "PEM", help_heading = "Authorities")]
    web_ca: Vec<PathBuf>,
}

impl WebArgs {
    pub(super) fn http(&self) -> Result<Http, Failure> {
        let mut roots = Vec::new();
        for file in &self.web_ca {
            let blocks = pkix::pem::blocks(&read(file, MAX_CERTIFICATES)?, "CERTIFICATE").map_err(|e| {
                Failure::input(anyhow::Error::from(e).context(format!("cannot use `{}`", file.display())))
            })?;
            roots.extend(blocks);
        }
        Ok(Http::new(&roots))
    }
}

impl AuthorityArgs {
    /// Everybody who was named. A log of version 2 proves no time, so its entries are dated by the first timestamp
    /// authority.
    pub(super) fn all(&self) -> Result<Vec<Box<dyn Authority>>, Failure> {
        let http = self.web.http()?;
        let tsa = |url: &String| Tsa::new(http.clone(), url.clone());
        let mut all: Vec<Box<dyn Authority>> = Vec::new();
        for url in &self.tsa {
            all.push(Box::new(tsa(url)));
        }
        for (urls, api) in [(&self.rekor, Api::V2), (&self.rekor_v1, Api::V1)] {
            for url in urls {
                let log = Rekor::new(http.clone(), url, api);
                let log = match self.tsa.first().filter(|_| api == Api::V2) {
                    Some(first) => log.dated_by(tsa(first)),
                    None => log,
                };
                all.push(Box::new(log));
            }
        }
        if all.is_empty() {
            return Err(Failure::input(anyhow::anyhow!("nobody was named who would anchor"))
                .hint("name a timestamp authority with `--tsa URL`, or a log with `--rekor URL`"));
        }
        Ok(all)
    }
}

/// Whoever gave, or will give, this anchor.
pub(super) fn of(anchor: &Anchor, http: &Http) -> Option<Box<dyn Authority>> {
    Some(match &anchor.evidence {
        Evidence::Rfc3161 { .. } => Box::new(Tsa::new(http.clone(), anchor.authority.clone())),
        Evidence::Rekor { api: Some(1), .. } => {
            Box::new(Rekor::new(http.clone(), &anchor.authority, Api::V1))
        }
        Evidence::Rekor { .. } => Box::new(Rekor::new(http.clone(), &anchor.authority, Api::V2)),
        Evidence::Chain { .. } => return None,
    })
}
