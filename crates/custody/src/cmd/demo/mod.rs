//! The whole chain on a real Go service, narrated: every line shown is this binary run on real files.

mod service;
mod stage;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

use crate::cmd::Context;
use crate::failure::{Failure, Outcome};
use service::Service;
use stage::{Expect, Stage};

/// Shown at the end of the command's help.
pub(crate) const EXAMPLES: &str = "Examples:\n  $ custody demo\n  $ custody demo --keep /tmp/chain";

/// Arguments of `custody demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep everything the demonstration makes in this folder (it must not exist)
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The Go command that builds the service
    #[arg(long, env = "CUSTODY_GO", value_name = "PROGRAM", default_value = "go", hide_env_values = true)]
    go: PathBuf,
}

/// Runs the demonstration from the first act to the last; any surprise is a failure.
pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let stage = Stage::set(args.keep.clone(), context.output)?;
    let played = play(&stage, args);
    stage.close(args.keep.is_some(), played.is_ok())?;
    played.map_err(|error| {
        Failure::finding(error)
            .hint("the demonstration did not go as told; `custody doctor` says what is missing")
    })
}

fn play(stage: &Stage, args: &Args) -> anyhow::Result<()> {
    build(stage, args)?;
    seal(stage)?;
    operate(stage)?;
    tamper_with_the_program(stage)?;
    account(stage)?;
    tamper_with_the_ledger(stage)
}

fn build(stage: &Stage, args: &Args) -> anyhow::Result<()> {
    stage.act(
        "What was built?",
        "A Go service is built; its binary is read, its folder sealed under two hashes.",
    )?;
    stage.custody(&["init"], Expect::Holds)?;
    service::build(&args.go, stage)?;
    stage.custody_from(&["inspect", "build/payments"], "hardening")
}

fn seal(stage: &Stage) -> anyhow::Result<()> {
    stage.custody(&["seal", "create", "build", "-o", "payments.seal.json"], Expect::Holds)?;
    stage.custody(&["seal", "verify", "build", "--seal", "payments.seal.json"], Expect::Holds)
}

fn operate(stage: &Stage) -> anyhow::Result<()> {
    stage.act(
        "What starts?",
        "The service starts only if what the kernel mapped is what was sealed. Its socket belongs to the supervisor.",
    )?;
    let mut service = Service::start(stage)?;
    let answer = service.request("POST", "/pay", r#"{"from":"alice","to":"bob","amount":125000}"#)?;
    stage.show(&format!("POST /pay                     → {answer}"))?;
    stage.say(
        "That answer came after the payment's event was on disk: the service records through the SDK.",
    )?;
    let answer = service.request("GET", "/debug/pprof/", "")?;
    stage.show(&format!("GET /debug/pprof/             → {answer}"))?;
    stage.say(
        "An event of the application goes into the same ledger; the receipt means that it is on disk.",
    )?;
    stage.custody_with_input(&["audit", "record"], service::EVENT, Expect::Holds)?;
    stage.say("The service is killed. A request made while it is dead waits in its socket.")?;
    let (seconds, answer) = service.crash_and_request()?;
    stage.show(&format!("kill -s KILL, GET /healthz    → {answer} after {seconds:.1} s"))?;
    service.stop()?;
    stage.show("kill -s TERM                  → the service drained and stayed down")
}

fn tamper_with_the_program(stage: &Stage) -> anyhow::Result<()> {
    stage.act("Is this still it?", "One bit of the program is flipped on disk.")?;
    let path = stage.path("build/payments");
    let offset =
        stage::flip_middle_bit(&path).with_context(|| format!("flipping a bit of {}", path.display()))?;
    stage.show(&format!("flipped one bit at offset {offset:#x} of build/payments"))?;
    stage.custody(&["seal", "verify", "build", "--seal", "payments.seal.json"], Expect::DoesNotHold)?;
    stage.custody(&["run", "--seal", "payments.seal.json", "--", "build/payments"], Expect::DoesNotHold)
}

fn account(stage: &Stage) -> anyhow::Result<()> {
    stage.act("Prove it.", "Every step above is an event in one append-only log that anyone can verify.")?;
    stage.custody(&["audit", "query"], Expect::Holds)?;
    stage.custody(&["audit", "verify"], Expect::Holds)?;
    stage.custody(&["audit", "prove", "--id", service::EVENT_ID, "-o", "login.tlog-proof"], Expect::Holds)
}

fn tamper_with_the_ledger(stage: &Stage) -> anyhow::Result<()> {
    stage.act("And the ledger itself?", "An administrator changes one bit of a stored event.")?;
    let entries = stage.largest_file("home/log/entries").ok_or_else(|| anyhow!("no entries on disk"))?;
    let offset = stage::flip_middle_bit(&entries)?;
    stage.show(&format!("flipped one bit at offset {offset:#x} of {}", stage.shorten(&entries)))?;
    stage.custody(&["audit", "verify"], Expect::DoesNotHold)
}
