//! The command line: global flags, the table of commands, and the dispatch.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::cmd::{self, Context};
use crate::failure::{Failure, Outcome};
use crate::home::Home;
use crate::output::Output;
use crate::recorder::Recorder;

/// Keep the chain of custody of a Go service.
#[derive(Parser)]
#[command(name = "custody", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Global {
    /// Home folder (keys, trust, ledger)
    #[arg(long, global = true, env = "CUSTODY_HOME", value_name = "DIR", help_heading = "Global options")]
    home: Option<PathBuf>,
    /// Print JSON: one document, or one line each where there are many
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// No progress and no remarks on stderr; errors still show
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make the home: keys, trust and the ledger
    #[command(after_help = cmd::init::EXAMPLES)]
    Init(cmd::init::Args),
    /// Say what works on this machine, what is missing, and the mend
    #[command(after_help = cmd::doctor::EXAMPLES)]
    Doctor(cmd::doctor::Args),
    /// Show the whole chain on a real Go service, in about a minute
    #[command(after_help = cmd::demo::EXAMPLES)]
    Demo(cmd::demo::Args),
    /// Make signing keys, and say whom to trust
    Key(cmd::key::KeyArgs),
    /// Take and check evidence of what an artefact consists of
    Seal(cmd::seal::SealArgs),
    /// Have evidence anchored by timestamp authorities, logs and chains, and judge the proofs
    Anchor(cmd::anchor::AnchorArgs),
    /// Show what a Go executable says about itself, and how it is hardened
    #[command(after_help = cmd::inspect::EXAMPLES)]
    Inspect(cmd::inspect::Args),
    /// Say whether Go modules are the ones that everybody got
    Modules(cmd::modules::ModulesArgs),
    /// Unpack, seal and check a portable Go release, without administrator rights
    Toolchain(cmd::toolchain::ToolchainArgs),
    /// Sign Windows programs with Authenticode, and judge their signatures
    Pe(cmd::pe::PeArgs),
    /// Check a signed tree in one go: signatures, the root that they bind, and every file
    #[command(after_help = cmd::verify::EXAMPLES)]
    Verify(Box<cmd::verify::VerifyArgs>),
    /// Run a service under supervision, only if it is the one that was sealed
    Run(Box<cmd::run::RunArgs>),
    /// Change functions of a running Go service, signed, watched and taken back
    Patch(Box<cmd::patch::PatchArgs>),
    /// See into a running Go process that was not built for it
    Probe(cmd::probe::ProbeArgs),
    /// Take events over HTTP: the daemon
    #[command(after_help = cmd::serve::HELP)]
    Serve(cmd::serve::ServeArgs),
    /// Record, query, prove and verify events
    Audit(cmd::audit::AuditArgs),
    /// Print the completion script of a shell
    #[command(after_help = "Examples:\n  $ custody completions bash > custody.bash")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the command reference in Markdown
    #[command(hide = true)]
    Reference,
    /// Write the man pages into a folder
    #[command(after_help = "Examples:\n  $ custody man man1")]
    Man {
        /// The folder; made when it is missing
        dir: PathBuf,
    },
}

/// Parses, dispatches, and turns the outcome into an exit code.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            return misused(&error);
        }
    };
    let json = cli.global.json;
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

/// Help, version, or a wrong usage; clap's own codes for them are 0 and 2, the same as ours.
fn misused(error: &clap::Error) -> ExitCode {
    let own = |argument: &std::ffi::OsString| argument != "--";
    let json = std::env::args_os().skip(1).take_while(own).any(|argument| argument == "--json");
    if error.use_stderr() && json {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).lines().map(str::trim);
        let said: Vec<_> =
            text.take_while(|line| !line.starts_with("Usage:")).filter(|l| !l.is_empty()).collect();
        return Failure::input(anyhow::anyhow!(said.join("; "))).hint("see `--help`").report(true);
    }
    let _ = error.print(); // a closed stderr leaves nobody to tell
    ExitCode::from(u8::from(error.use_stderr()) * 2)
}

fn dispatch(cli: Cli) -> Outcome {
    let output = Output { json: cli.global.json, quiet: cli.global.quiet };
    let context = || {
        let home = Home::locate(cli.global.home.clone())?;
        Ok::<_, Failure>(Context { home, output, recorder: Recorder::default() })
    };
    match cli.command {
        Command::Init(args) => cmd::init::run(&args, &context()?),
        Command::Doctor(args) => cmd::doctor::run(&args, &context()?),
        Command::Demo(args) => cmd::demo::run(&args, &context()?),
        Command::Key(args) => cmd::key::run(args, &context()?),
        Command::Seal(args) => cmd::seal::run(args, &context()?),
        Command::Anchor(args) => cmd::anchor::run(args, &context()?),
        Command::Inspect(args) => cmd::inspect::run(&args, output),
        Command::Modules(args) => cmd::modules::run(&args, &context()?),
        Command::Toolchain(args) => cmd::toolchain::run(args, &context()?),
        Command::Pe(args) => cmd::pe::run(args, &context()?),
        Command::Verify(args) => cmd::verify::run(&args, &context()?),
        Command::Run(args) => cmd::run::run(*args, &context()?),
        Command::Patch(args) => cmd::patch::run(*args, &context()?),
        Command::Probe(args) => cmd::probe::run(args, &context()?),
        Command::Serve(args) => cmd::serve::run(args, &context()?),
        Command::Audit(args) => cmd::audit::run(args, &context()?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "custody", &mut script);
            output.text(&String::from_utf8_lossy(&script))
        }
        Command::Reference => output.text(&crate::reference::markdown(&Cli::command())),
        Command::Man { dir } => std::fs::create_dir_all(&dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &dir))
            .map_err(|e| {
                Failure::environment(
                    anyhow::Error::from(e).context(format!("cannot write man pages into {}", dir.display())),
                )
            }),
    }
}
