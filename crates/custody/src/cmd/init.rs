//! `custody init`: makes the home. What is there already is left as it is, so a second call finishes a first one
//! that was interrupted, and changes nothing otherwise.

use event::Fact;
use keystore::{DEFAULT_KEY, Keyring, KeystoreError};
use serde::Serialize;

use crate::cmd::{Context, key};
use crate::failure::{Failure, Outcome};
use crate::{aside, config, recorder};

/// Shown at the end of the command's help.
pub(crate) const EXAMPLES: &str = "Examples:\n  $ custody init\n  \
$ custody init --home ./audit-home --json\n  $ custody init --home ./sha256-home --trees sha256";

/// Arguments of `custody init`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Say what would be made, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// The trees that the ledger keeps for its life: GB/T 39786 asks for SM3, public tools for SHA-256
    #[arg(long, value_enum, default_value_t)]
    trees: Trees,
}

/// Trees of a new ledger.
#[derive(Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Trees {
    /// SHA-256 and SM3
    #[default]
    Both,
    /// SHA-256 alone: the hashing of the other is saved
    Sha256,
}

/// What was made. The names are part of the interface.
#[derive(Serialize)]
struct Made {
    home: String,
    /// False when the home was there and whole.
    created: bool,
    /// The log's public key, as verifiers of checkpoints take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_key: Option<String>,
    /// The id of the key that signs seals.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_key: Option<String>,
    dry_run: bool,
}

/// Makes the folders and keys first and `custody.toml`, which makes the folder a home, last.
pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let home = context.home.path().display().to_string();
    let created = context.home.existing().is_err();
    if args.dry_run {
        let made = Made { home, created, log_key: None, signing_key: None, dry_run: true };
        return context.output.show(&made, |m| match m.created {
            true => format!("would make a home at {}\n", m.home),
            false => format!("there is a home at {}; nothing to do\n", m.home),
        });
    }
    let log_key = match args.trees {
        Trees::Both => audit::create_home(context.home.path(), &host_name()),
        Trees::Sha256 => audit::create_home_with(context.home.path(), &host_name(), audit::Trees::Sha256),
    };
    let log_key = log_key.map_err(recorder::failure)?;
    let (signing_key, new) = signing_key(context)?;
    if created {
        let both = "#trees = [\"sha256\", \"sm3\"]";
        let config = match args.trees {
            Trees::Both => config::TEMPLATE.to_owned(),
            Trees::Sha256 => config::TEMPLATE.replace(both, "trees = [\"sha256\"]"),
        };
        aside::write(&context.home.config_file(), config.as_bytes()).map_err(|e| {
            Failure::environment(
                anyhow::Error::from(e).context(format!("cannot write custody.toml in {home}")),
            )
        })?;
    }
    if new {
        let fact = Fact::new("KEY.CREATED").subject("svc", "custody");
        context.record(fact.object("key", signing_key.clone()).object("name", DEFAULT_KEY))?;
    }
    let made = Made {
        home,
        created,
        log_key: Some(log_key.to_string()),
        signing_key: Some(signing_key),
        dry_run: false,
    };
    context.output.show(&made, text)
}

/// The key that signs when none is named, and whether it was made now.
fn signing_key(context: &Context) -> Result<(String, bool), Failure> {
    let ring = Keyring::open(context.home.keys(), context.home.trust());
    match ring.create(DEFAULT_KEY, signing::Algorithm::Ed25519) {
        Ok(key) => Ok((key.key_id.to_string(), true)),
        Err(KeystoreError::Exists { .. }) => {
            let (id, _) = ring.resolve(DEFAULT_KEY).map_err(key::failure)?;
            Ok((id.to_string(), false))
        }
        Err(error) => Err(key::failure(error)),
    }
}

fn text(made: &Made) -> String {
    let head = if made.created { "made a home at" } else { "there is a home at" };
    format!(
        "{head} {}\n  log key      {}\n  signing key  {}\n",
        made.home,
        made.log_key.as_deref().unwrap_or_default(),
        made.signing_key.as_deref().unwrap_or_default(),
    )
}

/// A name for people to know the log by; nothing depends on it.
pub(crate) fn host_name() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let from_environment = || std::env::var("COMPUTERNAME").ok();
    from_kernel.or_else(from_environment).unwrap_or_default().trim().to_owned()
}
