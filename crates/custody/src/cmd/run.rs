//! `custody run`: a service under supervision, started only if it is the one that was sealed.

mod crash;
mod digests;
mod facts;
mod sealed;
mod wanted;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::ValueHint;
use supervise::{
    Address, Blame, Command, Contain, Ending, Image, Policy, Signals, Socket, SuperviseError, Supervisor,
};

use crate::cmd::Context;
use crate::failure::{Failure, Outcome};
use digests::Digests;
use sealed::Sealed;
use wanted::Wanted;

const EXAMPLES: &str = "\
Exit codes:
  0  the service ended with exit 0, or was stopped because you asked for it
  1  the program is not the one that was sealed; it did not run
  2  the command, an option or an address is wrong
  3  it cannot be verified or kept running here: ptrace refused, socket taken, or it kept failing

Examples:
  $ custody run --seal bin.seal.json --listen 127.0.0.1:8080 -- bin/payments
  $ custody run --seal bin.seal.json --no-restart --stop-timeout 30s -- bin/payments
  $ custody run --expect-sha256 $(sha256sum < bin/payments | cut -c1-64) -- bin/payments
  $ custody run --unsealed --restart-delay 1s --restart-limit 10 -- bin/payments";

/// Arguments of `custody run`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    source: Source,
    /// With `--seal`: trust this public key too, for this once (PEM; repeatable)
    // Not one of the sources; and clap lets a requirement go that the arguments given exclude.
    #[arg(
        long,
        value_name = "PEM",
        requires = "seal",
        conflicts_with_all = ["expect_sha256", "expect_sm3", "unsealed"],
        value_hint = ValueHint::FilePath
    )]
    trust: Vec<PathBuf>,
    /// Open a listening socket and hand it over (LISTEN_FDS); kept while the service restarts
    #[arg(long, value_name = "[NAME=]ADDR")]
    listen: Vec<Address>,
    #[command(flatten)]
    restarts: RestartArgs,
    /// How descendants are kept together
    #[arg(long, value_enum, default_value_t)]
    containment: Containment,
    /// How many bytes of stderr a crash report keeps; 0 hands over stderr itself instead of a pipe
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024)]
    stderr_tail: usize,
    /// Where crash reports are written [default: `crashes` in the home, when there is one]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    crash_dir: Option<PathBuf>,
    /// Verify also on network and user-space file systems, which can change a file behind the kernel's back
    #[arg(long)]
    accept_remote: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// What the program must be.
#[derive(clap::Args)]
#[group(id = "source", required = true, multiple = true, args = ["seal", "expect_sha256", "expect_sm3", "unsealed"])]
struct Source {
    /// The seal of the program, or of the directory or archive that it came in
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    seal: Option<PathBuf>,
    /// The program's SHA-256, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = digests::parse, conflicts_with = "seal")]
    expect_sha256: Option<[u8; 32]>,
    /// The program's SM3, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = digests::parse, conflicts_with = "seal")]
    expect_sm3: Option<[u8; 32]>,
    /// Start it whatever it is; recorded as such
    #[arg(long, conflicts_with_all = ["seal", "expect_sha256", "expect_sm3"])]
    unsealed: bool,
}

impl Source {
    fn wanted(self, trust: Vec<PathBuf>, context: &Context) -> Result<Wanted, Failure> {
        if let Some(file) = self.seal {
            return Sealed::open(file, trust, context).map(|sealed| Wanted::Sealed(Box::new(sealed)));
        }
        // clap has made sure that `--unsealed` is given when neither of the others is.
        Ok(Digests::of(self.expect_sha256, self.expect_sm3).map_or(Wanted::Anything, Wanted::Digests))
    }
}

#[derive(clap::Args)]
#[command(next_help_heading = "Restarts")]
struct RestartArgs {
    /// After exit 1 to 127, start it again this much later
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    restart_delay: Duration,
    /// At most this many times in a window, then give up
    #[arg(long, value_name = "N", default_value_t = 3)]
    restart_limit: u32,
    /// The length of that sliding window
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    restart_window: Duration,
    /// After a signal or exit 128 and above, start it again this much later
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    crash_pause: Duration,
    /// Never start it again
    #[arg(long)]
    no_restart: bool,
    /// How long a stop waits between SIGTERM and SIGKILL
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    stop_timeout: Duration,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Containment {
    /// A control group where one can be made, else by descent
    #[default]
    Auto,
    /// A control group (version 2), or refuse
    Cgroup,
    /// By descent: the supervisor adopts every orphan
    Reaper,
}

impl From<Containment> for Contain {
    fn from(given: Containment) -> Self {
        match given {
            Containment::Auto => Self::Auto,
            Containment::Cgroup => Self::Cgroup,
            Containment::Reaper => Self::Reaper,
        }
    }
}

impl RestartArgs {
    fn policy(&self) -> Policy {
        Policy {
            restart: !self.no_restart,
            delay: self.restart_delay,
            limit: self.restart_limit,
            window: self.restart_window,
            crash_pause: self.crash_pause,
            stop_timeout: self.stop_timeout,
        }
    }
}

/// `5s`, `300ms`, `1h 30m`, or a number of seconds.
fn duration(given: &str) -> Result<Duration, String> {
    if let Ok(seconds) = given.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let parsed: jiff::SignedDuration = given.parse().map_err(|e: jiff::Error| e.to_string())?;
    Duration::try_from(parsed).map_err(|_| "a time is not negative".to_owned())
}

/// Runs the service until it ends for good.
pub(crate) fn run(args: RunArgs, context: &Context) -> Outcome {
    // First of all, while this is the only thread: a thread started earlier would take the signals instead.
    let signals = Signals::hold().map_err(failure)?;
    let mut command = Command::new(args.command).map_err(failure)?;
    let name = facts::name_of(command.program());
    let wanted = args.source.wanted(args.trust, context)?;
    let mut reporter = facts::Reporter::new(context, &name, args.crash_dir)?;
    if !wanted.is_anything() {
        for variable in command.remove_injection() {
            context.output.remark(&format!("{name}: {variable} is not passed on to a verified program"));
        }
    }
    let sockets = args.listen.iter().map(Socket::open).collect::<Result<Vec<_>, _>>().map_err(failure)?;
    for socket in &sockets {
        context.output.remark(&format!("{name}: listening on {}", socket.address()));
    }
    let mut supervisor = Supervisor::new(command)
        .sockets(sockets)
        .policy(args.restarts.policy())
        .contain(args.containment.into())
        .stderr_tail(args.stderr_tail)
        .accept_remote(args.accept_remote);
    if !wanted.is_anything() {
        supervisor = supervisor.verified_by(&wanted);
    }
    let ending = supervisor.run(&signals, &mut |fact| reporter.tell(&fact));
    // Held to the end of the process: a second signal that comes while the stop is being recorded (`timeout` sends
    // two) must not take the place of the exit code.
    std::mem::forget(signals);
    conclude(ending, &name, &wanted)
}

fn conclude(ending: Result<Ending, SuperviseError>, name: &str, wanted: &Wanted) -> Outcome {
    match ending {
        Ok(Ending::Clean | Ending::Stopped) => Ok(()),
        Ok(Ending::GaveUp { end, restarts }) => {
            let how = facts::describe_end(end);
            let error = match restarts {
                Some(n) => anyhow!("gave up on `{name}` after {n} restarts: it ended with {how}"),
                None => anyhow!("`{name}` ended with {how}"),
            };
            Err(Failure::environment(error)
                .hint("the facts of each ending are above, and in the crash reports"))
        }
        Err(SuperviseError::Refused { image, .. }) => Err(refused(name, &image, wanted)),
        Err(error) => Err(failure(error)),
    }
}

fn refused(name: &str, image: &Image, wanted: &Wanted) -> Failure {
    let (sealed, found) = wanted.lines(image);
    let modified = image.executable.modified.and_then(|at| jiff::Timestamp::try_from(at).ok());
    let modified =
        modified.map(|at| format!("  modified {}", at.strftime("%Y-%m-%d %H:%MZ"))).unwrap_or_default();
    let what = format!("binary `{name}` is not the one that was sealed");
    Failure::finding(anyhow!("{what}\n  sealed  {sealed}\n  found   {found}{modified}"))
        .hint(wanted.look(image))
}

fn failure(error: SuperviseError) -> Failure {
    let mend = error.mend();
    let failure = match error.blame() {
        Blame::Evidence => Failure::finding(error),
        Blame::Caller => Failure::input(error),
        Blame::Environment => Failure::environment(error),
    };
    match mend {
        Some(mend) => failure.hint(mend),
        None => failure,
    }
}
