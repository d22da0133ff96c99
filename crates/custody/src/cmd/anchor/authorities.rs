//! Who is asked to anchor: named on the command line.

use std::path::PathBuf;

use anchor::rekor::{Api, Rekor};
use anchor::tsa::Tsa;
use anchor::witness::Witness;
use anchor::{Anchor, Authority, Evidence, Http};
use clap::Args;

use crate::chains;
use crate::cmd::Context;
use crate::config::Config;
use crate::failure::Failure;

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
    /// Witness of the home's ledger (c2sp.org/tlog-witness); the request is an event there
    #[arg(long, value_name = "URL", requires = "witness_key", help_heading = "Authorities")]
    witness: Option<String>,
    /// File with the witness's public key, as `name+hash+key`
    #[arg(long, value_name = "FILE", help_heading = "Authorities")]
    witness_key: Option<PathBuf>,
    /// Who is named so in custody.toml (`[[anchor]]`; repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Authorities")]
    to: Vec<String>,
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
        super::web_http(&self.web_ca)
    }
}

impl AuthorityArgs {
    /// Everybody who was named. A log of version 2 proves no time, so its entries are dated by the first timestamp
    /// authority.
    pub(super) fn all<'a>(&self, context: &'a Context) -> Result<Vec<Box<dyn Authority + 'a>>, Failure> {
        let http = self.web.http()?;
        let tsa = |url: &String| Tsa::new(http.clone(), url.clone());
        let mut all: Vec<Box<dyn Authority + 'a>> = Vec::new();
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
        if let (Some(url), Some(key)) = (&self.witness, &self.witness_key) {
            let key = super::witness::read_key(key)?;
            all.push(Box::new(Witness::new(http.clone(), url, key, super::witness::OwnLedger(context))));
        }
        for name in &self.to {
            all.push(named(name, context)?);
        }
        if all.is_empty() {
            return Err(Failure::input(anyhow::anyhow!("nobody was named who would anchor"))
                .hint("name a timestamp authority with `--tsa URL`, or a log with `--rekor URL`"));
        }
        Ok(all)
    }
}

/// Who has this name in the configuration.
fn named(name: &str, context: &Context) -> Result<Box<dyn Authority>, Failure> {
    let config = Config::of(&context.home)?;
    let known = chains::find(&config.anchor, name)?.open(context.home.path())?;
    Ok(known)
}

/// Whoever gave, or will give, this anchor.
pub(super) fn of(anchor: &Anchor, http: &Http, context: &Context) -> Result<Box<dyn Authority>, Failure> {
    Ok(match &anchor.evidence {
        Evidence::Rfc3161 { .. } => Box::new(Tsa::new(http.clone(), anchor.authority.clone())),
        Evidence::Rekor { api: Some(1), .. } => {
            Box::new(Rekor::new(http.clone(), &anchor.authority, Api::V1))
        }
        Evidence::Rekor { .. } => Box::new(Rekor::new(http.clone(), &anchor.authority, Api::V2)),
        Evidence::Witness { .. } => {
            return Err(Failure::input(anyhow::anyhow!("a witness is asked again with its key"))
                .hint("`custody anchor submit FILE --witness URL --witness-key FILE`"));
        }
        Evidence::Chain { .. } => named(&anchor.authority, context)?,
    })
}
