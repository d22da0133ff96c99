//! `custody serve`: the daemon in the foreground, and the tokens that let callers in.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Context;
use crate::config::Config;
use crate::daemon::{self, Orders, Settings};
use crate::failure::Outcome;

mod token;

pub(crate) const HELP: &str = "\
Owns the home, and takes events over HTTP (docs/http.md): POST /v1/events (JSON, NDJSON), /metrics, /checkpoint, /tile.\n\
Callers show a bearer token (RFC 6750) or a client certificate. SIGTERM answers what was asked and ends; SIGHUP reads\n\
tokens, certificates and rules anew. For systemd: Type=notify.\n\n\
Examples:\n  $ custody serve token new payments --rights record > payments.token\n  \
$ custody serve --listen 127.0.0.1:8481\n  \
$ custody serve --listen 127.0.0.1:8482 --token-file home/serve.tokens";

/// Arguments of `custody serve`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    command: Option<ServeCommand>,
    /// Listen here; may be given several times
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<SocketAddr>,
    /// The server's certificate and those above it, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let in clients with a certificate under this authority, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// The file of bearer tokens; by default serve.tokens in the home
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let in whoever is on this machine, without a name
    #[arg(long)]
    insecure_loopback: bool,
}

#[derive(Subcommand)]
enum ServeCommand {
    /// Make, list and withdraw bearer tokens
    Token(token::TokenArgs),
}

/// Serves, or tends the tokens.
pub(crate) fn run(args: ServeArgs, context: &Context) -> Outcome {
    let home = context.home.existing()?.path().to_owned();
    if let Some(ServeCommand::Token(token)) = args.command {
        return token::run(token, context);
    }
    let config = Config::of(&context.home)?;
    let mut serve = config.serve;
    let evidence = serve.evidence.take();
    if !args.listen.is_empty() {
        serve.listen = args.listen;
    }
    serve.tls_cert = args.tls_cert.or(serve.tls_cert);
    serve.tls_key = args.tls_key.or(serve.tls_key);
    serve.client_ca = args.client_ca.or(serve.client_ca);
    serve.token_file = args.token_file.or(serve.token_file);
    let settings = Settings::of(serve, args.insecure_loopback, home.join(token::FILE))?;
    let authority = match &evidence {
        Some(name) => Some(crate::chains::find(&config.anchor, name)?.open(&home)?),
        None => None,
    };
    let rules = home.join(config.alerts.file.unwrap_or_else(|| "alerts.toml".into()));
    let orders = Orders {
        settings,
        pulse: config.heartbeat.pulse(),
        cadence: config.retention.cadence(),
        rules,
        authority,
        output: context.output,
    };
    daemon::run(orders, &home)
}
