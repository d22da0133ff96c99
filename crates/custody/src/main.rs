//! The chain of custody of a Go service: one binary, many nouns.
#![forbid(unsafe_code)]

mod aside;
mod chains;
mod cli;
mod cmd;
mod config;
mod crypto;
mod daemon;
mod failure;
mod given;
mod home;
mod output;
mod recorder;
mod reference;

fn main() -> std::process::ExitCode {
    cli::run()
}
