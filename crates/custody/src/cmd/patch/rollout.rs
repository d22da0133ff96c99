//! `custody patch rollout`: a patch reaches the processes of one name in stages, each watched, and goes back by itself.
//!
//! Processes of this machine. A stage is over when it was watched for its time; a process that ends, health that fails
//! several times in a row, or answers that get too slow end the rollout, and every process is led back, the last first.
//! Who vouches for the patch is asked before each stage anew: one that is revoked meanwhile goes no further.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::signature::TrustArgs;
use crate::failure::{Failure, Outcome};

pub(super) const HELP: &str = "Exit code 1: a stage did not hold, and every process was led back; what failed is named.\n\n\
    Examples:\n  $ custody patch rollout fix.cpatch --name payments --stages 50,100 --watch 1 --dry-run\n  \
    $ custody patch rollout fix.cpatch --name payments --stages 50,100 --watch 1";

#[derive(Args)]
pub(super) struct RolloutArgs {
    /// The patch
    file: PathBuf,
    /// The name of the executable that the processes run
    #[arg(long)]
    name: String,
    /// How many of the processes carry the patch after each stage, in percent, ascending
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_values_t = [5, 20, 100])]
    stages: Vec<u8>,
    /// Ask here for health: any answer but 2xx within two seconds is a failure; repeatable
    #[arg(long, value_name = "URL")]
    health: Vec<String>,
    /// How many failures in a row, of one address, end the rollout
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    failures: u32,
    /// The rollout ends when one in twenty answers of a stage takes longer than this
    #[arg(long, value_name = "MILLISECONDS")]
    max_p95: Option<u64>,
    /// How long each stage is watched
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    watch: u64,
    /// How long to wait from one check to the next
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    every: u64,
    #[command(flatten)]
    trust: TrustArgs,
    /// How many times a process is stopped for a moment until one is safe
    #[arg(long, value_name = "N", default_value_t = 200)]
    attempts: u32,
    /// Look for a safe moment in every process, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl RolloutArgs {
    fn check(&self) -> Outcome {
        let fits =
            self.stages.is_sorted_by(|a, b| a < b) && self.stages.iter().all(|s| (1..=100).contains(s));
        match fits && !self.stages.is_empty() {
            true => Ok(()),
            false => Err(Failure::input(anyhow::anyhow!("stages are percents from 1 to 100, ascending"))
                .hint("for example `--stages 5,20,100`")),
        }
    }
}

pub(super) fn run(args: &RolloutArgs, context: &Context) -> Outcome {
    args.check()?;
    here::run(args, context)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod here {
    use super::{Context, Failure, Outcome, RolloutArgs};

    pub(super) fn run(_: &RolloutArgs, _: &Context) -> Outcome {
        Err(Failure::environment(anyhow::anyhow!("running processes are patched on linux/amd64 only"))
            .hint("run `custody patch` on the machine where the service runs"))
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod here {
    use std::time::{Duration, Instant};

    use event::{Fact, Severity};
    use goproc::Process;
    use livepatch::Options;
    use serde::Serialize;

    use super::super::live::platform;
    use super::super::{Opened, process, signature};
    use super::{Context, Failure, Outcome, RolloutArgs};
    use crate::recorder::Recorded;

    /// How long an answer about health is waited for.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// The whole of it, as it is recorded and printed. The names are part of the interface.
    #[derive(Serialize)]
    struct Rollout {
        act: &'static str,
        patch: String,
        name: String,
        processes: usize,
        stages: Vec<Stage>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// Processes that were led back, and those that could not be.
        led_back: usize,
        stuck: Vec<i32>,
        dry_run: bool,
    }

    /// One stage.
    #[derive(Clone, Serialize)]
    struct Stage {
        percent: u8,
        /// Numbers of the processes that were patched in it.
        patched: Vec<i32>,
        stop_us: Vec<u128>,
        checks: usize,
        failures: usize,
        p95_ms: Option<u64>,
    }

    impl Recorded for Rollout {
        fn fact(&self) -> Option<Fact> {
            let last = self.stages.last();
            let numbers = |pids: &[i32]| pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let mut fact = Fact::new(self.act)
                .subject("svc", "custody")
                .object("patch", self.patch.clone())
                .object("name", self.name.clone())
                .context("processes", self.processes.to_string());
            if let Some(stage) = last {
                fact = fact.context("percent", stage.percent.to_string());
                fact = fact.context("patched", shortened(numbers(&stage.patched)));
                fact = fact.context("checks", stage.checks.to_string());
                fact = fact.context("failures", stage.failures.to_string());
            }
            if let Some(why) = &self.why {
                fact = fact.severity(Severity::Critical).context("why", why.clone());
                fact = fact.context("led_back", self.led_back.to_string());
                fact = fact.context("stuck", shortened(numbers(&self.stuck)));
            }
            (!self.dry_run).then_some(fact)
        }
    }

    /// An event has a limit.
    fn shortened(text: String) -> String {
        if text.len() <= 2000 { text } else { format!("{}…", &text[..2000]) }
    }

    impl Rollout {
        fn lines(&self) -> String {
            let mut text = format!(
                "rollout of sha256:{}\n  to        {} processes of `{}`\n",
                self.patch, self.processes, self.name
            );
            for stage in &self.stages {
                text += &format!(
                    "  {:>3} %     {} patched, {} of {} checks failed\n",
                    stage.percent,
                    stage.patched.len(),
                    stage.failures,
                    stage.checks
                );
            }
            text
        }
    }

    pub(super) fn run(args: &RolloutArgs, context: &Context) -> Outcome {
        let opened = Opened::read(&args.file)?;
        let pids = process::all_named(&args.name)?;
        if pids.is_empty() {
            let what = format!("no process runs an executable named `{}`", args.name);
            return Err(Failure::input(anyhow::anyhow!(what)));
        }
        let mut rollout = Rollout {
            act: "PATCH.ROLLOUT.STARTED",
            patch: opened.sha256(),
            name: args.name.clone(),
            processes: pids.len(),
            stages: Vec::new(),
            why: None,
            led_back: 0,
            stuck: Vec::new(),
            dry_run: args.dry_run,
        };
        context.note(&rollout)?;
        let mut patched: Vec<Process> = Vec::new();
        for percent in &args.stages {
            match stage(args, *percent, &opened, &pids, &mut patched, context) {
                Ok(done) => rollout.stages.push(done),
                Err(failure) => return halted(rollout, failure, patched, args, context),
            }
            rollout.act = "PATCH.ROLLOUT.STAGE";
            context.note(&rollout)?;
        }
        rollout.act = "PATCH.ROLLOUT.COMPLETED";
        context.conclude(&rollout, Rollout::lines)
    }

    /// Patches as many more processes as the stage asks for, and watches them all.
    fn stage(
        args: &RolloutArgs,
        percent: u8,
        opened: &Opened,
        pids: &[i32],
        patched: &mut Vec<Process>,
        context: &Context,
    ) -> Result<Stage, Failure> {
        let vouched = signature::vouched(&args.file, opened, &args.trust, context)?;
        let options = Options {
            attempts: args.attempts,
            dry_run: args.dry_run,
            exact_file: vouched.binds_file(),
            ..Options::default()
        };
        let wanted = (pids.len() * usize::from(percent)).div_ceil(100);
        let mut stage =
            Stage { percent, patched: Vec::new(), stop_us: Vec::new(), checks: 0, failures: 0, p95_ms: None };
        for pid in pids.iter().take(wanted).skip(patched.len()) {
            let process = process::open(*pid)?;
            let done = platform::applied(&process, opened, &vouched, options, context)?;
            patched.push(process);
            stage.patched.push(*pid);
            stage.stop_us.push(done.stop_us);
        }
        watch(args, &mut stage, patched)?;
        Ok(stage)
    }

    fn watch(args: &RolloutArgs, stage: &mut Stage, patched: &[Process]) -> Outcome {
        let ended = |what: String| Err(Failure::finding(anyhow::anyhow!(what)));
        let agent =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).build().new_agent();
        let begun = Instant::now();
        let mut in_a_row = vec![0; args.health.len()];
        let mut took = Vec::new();
        loop {
            for process in patched {
                if process.check_alive().is_err() {
                    return ended(format!("process {} has ended", process.pid()));
                }
            }
            for (url, failures) in args.health.iter().zip(&mut in_a_row) {
                let asked = Instant::now();
                let answer = agent.get(url).call();
                took.push(u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX));
                stage.checks += 1;
                let Err(error) = answer else {
                    *failures = 0;
                    continue;
                };
                stage.failures += 1;
                *failures += 1;
                if *failures >= args.failures {
                    return ended(format!("`{url}` failed {failures} times in a row: {error}"));
                }
            }
            if begun.elapsed() >= Duration::from_secs(args.watch) {
                break;
            }
            std::thread::sleep(Duration::from_millis(args.every.clamp(1, 60_000)));
        }
        took.sort_unstable();
        stage.p95_ms = took.get(took.len() * 95 / 100).copied();
        match (stage.p95_ms, args.max_p95) {
            (Some(found), Some(most)) if found > most => {
                ended(format!("one in twenty answers took {found} ms or more, and {most} are allowed"))
            }
            _ => Ok(()),
        }
    }

    /// Leads every process back, the last first, and says why.
    fn halted(
        mut rollout: Rollout,
        failure: Failure,
        patched: Vec<Process>,
        args: &RolloutArgs,
        context: &Context,
    ) -> Outcome {
        let options =
            Options { attempts: args.attempts.max(2000), dry_run: args.dry_run, ..Options::default() };
        for process in patched.iter().rev().filter(|_| !args.dry_run) {
            match platform::led_back(process, options, context) {
                Ok(_) => rollout.led_back += 1,
                // One that has ended needs no way back.
                Err(_) if process.check_alive().is_err() => {}
                Err(error) => {
                    context.output.remark(&format!("remark: {error}"));
                    rollout.stuck.push(process.pid());
                }
            }
        }
        rollout.act = "PATCH.ROLLOUT.HALTED";
        rollout.why = Some(failure.to_string());
        context.note(&rollout)?;
        let what =
            format!("the rollout was halted, and {} processes were led back: {failure}", rollout.led_back);
        let halted = Failure::finding(anyhow::anyhow!(what));
        match rollout.stuck.is_empty() {
            true => Err(halted),
            false => Err(halted.hint(format!(
                "these still run the patch: {}; see `custody patch status --pid N`",
                rollout.stuck.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}
