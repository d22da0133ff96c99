//! `custody pe policy`: code-integrity policies (App Control, WDAC) from what was sealed, and both tracks of a check.

mod build;
mod check;
mod compile;
mod evidence;
mod file;
mod show;
mod sign;

use clap::{Args, Subcommand};
use codeintegrity::{Finding, PolicyError};
use pkix::Certificate;

use crate::cmd::Context;
use crate::failure::{Failure, Outcome};

#[derive(Args)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write a policy that allows what was sealed, each rule named after its entry
    #[command(after_help = build::EXAMPLES)]
    Build(Box<build::BuildArgs>),
    /// Compile a policy to the form that Windows loads
    #[command(after_help = compile::EXAMPLES)]
    Compile(compile::CompileArgs),
    /// Print a policy as XML, whichever of its forms is given
    #[command(after_help = show::EXAMPLES)]
    Show(show::ShowArgs),
    /// Sign a policy, under the constraints that Windows puts on signed ones
    #[command(after_help = sign::EXAMPLES)]
    Sign(Box<sign::SignArgs>),
    /// Say whether a catalogue and a policy agree on files: the double check
    #[command(after_help = check::EXAMPLES)]
    Check(Box<check::CheckArgs>),
}

pub(super) fn run(args: PolicyArgs, context: &Context) -> Outcome {
    match args.verb {
        Verb::Build(args) => build::run(&args, context),
        Verb::Compile(args) => compile::run(&args, context),
        Verb::Show(args) => show::run(&args, context),
        Verb::Sign(args) => sign::run(&args, context),
        Verb::Check(args) => check::run(&args, context),
    }
}

fn unwritable(error: PolicyError) -> Failure {
    Failure::input(anyhow::Error::from(error).context("cannot write this policy"))
}

/// The hash by which policies know a certificate: of the part that its issuer signed, under the digest that the issuer
/// signed it with.
fn tbs_hash(certificate: &Certificate) -> Vec<u8> {
    pkix::digest_of(&certificate.algorithm).unwrap_or(pkix::Digest::Sha256).of(certificate.tbs())
}

/// What names a certificate in a rule's identifier.
fn trace_of(certificate: &Certificate) -> String {
    certificate.thumbprint(pkix::Digest::Sha256)[..16].to_uppercase()
}

/// Says what is only doubtful, and fails at what Windows would refuse.
fn weigh(findings: &[Finding], what: &str, context: &Context) -> Outcome {
    for doubt in findings.iter().filter(|finding| !finding.fatal) {
        context.output.remark(&format!("remark: {}; {}", doubt.what, doubt.mend));
    }
    match findings.iter().find(|finding| finding.fatal) {
        Some(fatal) => Err(Failure::finding(anyhow::anyhow!("{what}: {}", fatal.what)).hint(fatal.mend)),
        None => Ok(()),
    }
}
