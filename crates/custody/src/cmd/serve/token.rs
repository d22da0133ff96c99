//! `custody serve token`: who may come in over HTTP. The secret is shown once, on standard output; the file keeps its
//! digest.

use std::path::{Path, PathBuf};

use audit::intake::{Rights, Token, Tokens, token_line};
use clap::{Args, Subcommand};
use event::{Fact, Timestamp};
use serde::Serialize;

use crate::aside;
use crate::cmd::Context;
use crate::daemon::read_tokens;
use crate::failure::{Failure, Outcome};

/// Where tokens are kept in a home.
pub(crate) const FILE: &str = "serve.tokens";

const HELP: &str = "\
The token is printed once; keep it where its user alone can read it. A daemon that runs takes the change on SIGHUP.\n\n\
Examples:\n  $ custody serve token new auditor --rights read --ends 2030-01-01T00:00:00Z";

/// Arguments of `custody serve token`.
#[derive(Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make a token and print it
    #[command(after_help = HELP)]
    New {
        /// Its name: it stands in every event that comes with it
        name: String,
        /// What it allows, joined by commas: record, read, monitor, metrics
        #[arg(long, default_value = "record")]
        rights: String,
        /// When it ends (RFC 3339, UTC)
        #[arg(long, value_name = "TIME")]
        ends: Option<String>,
        /// The file; by default serve.tokens in the home
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Show names, rights and ends
    #[command(after_help = "Examples:\n  $ custody serve token list")]
    List {
        /// The file; by default serve.tokens in the home
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Withdraw a token
    #[command(after_help = "Examples:\n  $ custody serve token revoke auditor")]
    Revoke {
        /// Its name
        name: String,
        /// The file; by default serve.tokens in the home
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct Shown {
    name: String,
    rights: String,
    ends: Option<String>,
}

/// Does what was asked.
pub(crate) fn run(args: TokenArgs, context: &Context) -> Outcome {
    let file = |given: Option<PathBuf>| given.unwrap_or_else(|| context.home.path().join(FILE));
    match args.command {
        TokenCommand::New { name, rights, ends, token_file } => {
            new(&name, &rights, ends.as_deref(), &file(token_file), context)
        }
        TokenCommand::List { token_file } => list(&file(token_file), context),
        TokenCommand::Revoke { name, token_file } => revoke(&name, &file(token_file), context),
    }
}

fn new(name: &str, rights: &str, ends: Option<&str>, path: &Path, context: &Context) -> Outcome {
    let rights = Rights::parse(rights).map_err(|word| {
        Failure::input(anyhow::anyhow!("`{word}` is no right"))
            .hint("the rights are record, read, monitor and metrics")
    })?;
    let ends = ends.map(Timestamp::parse).transpose().map_err(|why| {
        Failure::input(anyhow::anyhow!("the end {why}")).hint("write it as `2030-01-01T00:00:00Z`")
    })?;
    let mut text = if path.exists() {
        if read_tokens(path)?.iter().any(|(known, ..)| known == name) {
            return Err(Failure::input(anyhow::anyhow!("there is a token `{name}` already"))
                .hint(format!("withdraw it first: `custody serve token revoke {name}`")));
        }
        std::fs::read_to_string(path).map_err(|e| unreadable(e, path))?
    } else {
        Tokens::header()
    };
    let mut random = zeroize::Zeroizing::new([0u8; 32]);
    aws_lc_rs::rand::fill(random.as_mut_slice())
        .map_err(|_| Failure::environment(anyhow::anyhow!("no randomness from the operating system")))?;
    let token = Token::new(&random);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&token_line(name, rights, &token, ends).map_err(Failure::input)?);
    Tokens::parse(&text).map_err(Failure::input)?; // the file is whole, or it is not written
    // Recorded first: a token that exists and is not in the ledger would be worse than the other way round.
    context.record(
        Fact::new("AUTH.TOKEN.ISSUED")
            .subject("svc", "custody")
            .object("token", name.to_owned())
            .context("rights", rights.to_string())
            .context("ends", ends.map_or_else(|| "never".to_owned(), |ends| ends.to_string())),
    )?;
    write(path, &text)?;
    if context.output.json {
        let document =
            serde_json::json!({ "name": name, "rights": rights.to_string(), "token": token.reveal() });
        return context.output.json_line(&document);
    }
    context.output.text(&format!("{}\n", token.reveal()))
}

fn list(path: &Path, context: &Context) -> Outcome {
    let shown: Vec<Shown> = read_tokens(path)?
        .iter()
        .map(|(name, rights, ends)| Shown {
            name: name.to_owned(),
            rights: rights.to_string(),
            ends: ends.map(|ends| ends.to_string()),
        })
        .collect();
    context.output.show(&shown, |shown| {
        shown
            .iter()
            .map(|t| {
                format!("{:<24} {:<30} {}\n", t.name, t.rights, t.ends.as_deref().unwrap_or("never ends"))
            })
            .collect()
    })
}

fn revoke(name: &str, path: &Path, context: &Context) -> Outcome {
    if !read_tokens(path)?.iter().any(|(known, ..)| known == name) {
        return Err(Failure::input(anyhow::anyhow!("there is no token `{name}` in {}", path.display()))
            .hint("`custody serve token list` shows them"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(e, path))?;
    let kept: String = text
        .lines()
        .filter(|line| line.starts_with('#') || line.split_ascii_whitespace().next() != Some(name))
        .map(|line| format!("{line}\n"))
        .collect();
    // Withdrawn first: a token that still opens must not stand in the ledger as withdrawn.
    write(path, &kept)?;
    let fact = Fact::new("AUTH.TOKEN.REVOKED").subject("svc", "custody").object("token", name.to_owned());
    context.record(fact)?;
    context.output.show(&serde_json::json!({ "name": name, "revoked": true }), |_| {
        format!("withdrew {name}; a daemon that runs takes it on SIGHUP\n")
    })
}

fn write(path: &Path, text: &str) -> Outcome {
    aside::write(path, text.as_bytes()).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write {}", path.display())))
    })
}

fn unreadable(error: std::io::Error, path: &Path) -> Failure {
    Failure::input(anyhow::Error::from(error).context(format!("cannot read {}", path.display())))
}
