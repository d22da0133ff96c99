//! `custody seal provenance`: who built what was sealed, from what, as SLSA Provenance v1 (slsa.dev/spec/v1.0/provenance).
//!
//! Custody did not watch the build: what stands here is what its caller says, under the caller's signature.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use event::Fact;
use gobinary::Binary;
use seal::Seal;
use serde::Serialize;
use serde_json::{Value, json};
use signing::dsse::Envelope;

use super::signers::{self, SignerArgs};
use super::trust::{self, Source, Trust};
use super::{Context, keyring, malformed, read};
use crate::aside::Aside;
use crate::failure::{Failure, Outcome};
use crate::given;
use crate::recorder::Recorded;

pub(super) const HELP: &str = "\
The statement says what you say of the build; nobody watched it. With `--from` the modules of a Go program are its
dependencies, as the go command wrote them into it.

Examples:
  $ custody seal provenance bin.seal.json --builder urn:ci --build-type urn:go -o p.json";

/// `predicateType` of the statement.
const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// Larger programs are not read.
const MAX_PROGRAM: u64 = 1 << 30;

#[derive(Args)]
pub(super) struct ProvenanceArgs {
    /// The seal of what was built
    seal: PathBuf,
    /// Where to write the signed statement
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Who built it: an address that names the builder (`runDetails.builder.id`)
    #[arg(long, value_name = "URI")]
    builder: String,
    /// How: an address that names the kind of build (`buildDefinition.buildType`)
    #[arg(long, value_name = "URI")]
    build_type: String,
    /// With what parameters (`externalParameters`; repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    parameter: Vec<(String, String)>,
    /// From what: an address, and after `@sha256:` its digest (`resolvedDependencies`; repeatable)
    #[arg(long, value_name = "URI[@sha256:HEX]")]
    material: Vec<String>,
    /// A Go program of the build: its modules are dependencies too
    #[arg(long, value_name = "BIN")]
    from: Option<PathBuf>,
    /// Which run of the build (`metadata.invocationId`)
    #[arg(long, value_name = "ID")]
    invocation: Option<String>,
    /// When it began, as 2026-11-20T08:30:00Z
    #[arg(long, value_name = "TIME")]
    started: Option<jiff::Timestamp>,
    /// When it ended
    #[arg(long, value_name = "TIME")]
    finished: Option<jiff::Timestamp>,
    #[command(flatten)]
    signers: SignerArgs,
    /// Trust this public key too, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What was written, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Stated {
    act: &'static str,
    seal: String,
    tree: String,
    builder: String,
    dependencies: usize,
    key_ids: Vec<String>,
    output: String,
}

impl Recorded for Stated {
    fn fact(&self) -> Option<Fact> {
        Some(
            Fact::new(self.act)
                .subject("svc", "custody")
                .object("seal", self.seal.clone())
                .object("tree", self.tree.clone())
                .context("builder", self.builder.clone())
                .context("key", self.key_ids.join(",")),
        )
    }
}

pub(super) fn run(args: &ProvenanceArgs, context: &Context) -> Outcome {
    for (uri, what) in [(&args.builder, "--builder"), (&args.build_type, "--build-type")] {
        // "URI" in both fields of the specification: a scheme, and something behind it.
        if !uri.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()) {
            return Err(Failure::input(anyhow::anyhow!("`{what} {uri}` is no URI")));
        }
    }
    let keys = args.signers.open(context)?;
    let ring = keyring(context);
    let source = Source { file: &args.seal, trust: &args.trust };
    let bytes = read(&args.seal)?;
    let trust = Trust::of(source, ring.as_ref())?;
    let opened = Seal::open(&bytes, &trust.verifiers())
        .map_err(|error| trust::refused(error, &bytes, source, ring.as_ref()))?;
    trust.accept(&opened.signers, source)?;
    let mut dependencies = args.material.iter().map(|text| material(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(program) = &args.from {
        dependencies.extend(modules(program)?);
    }
    let statement = statement(args, &opened.seal, &dependencies).map_err(|e| malformed(e, &args.seal))?;
    let payload = serde_json::to_vec(&statement).map_err(Failure::input)?;
    let envelope =
        Envelope::sign(seal::PAYLOAD_TYPE, &payload, &signers::all(&keys)).map_err(Failure::environment)?;
    let mut json = serde_json::to_vec(&envelope).map_err(Failure::input)?;
    json.push(b'\n');
    let stated = Stated {
        act: "SEAL.PROVENANCE",
        seal: args.seal.display().to_string(),
        tree: hex::encode(opened.seal.tree().roots().sha256),
        builder: args.builder.clone(),
        dependencies: dependencies.len(),
        key_ids: keys.iter().map(|key| key.key_id().to_string()).collect(),
        output: args.output.display().to_string(),
    };
    let unwritable = |e: std::io::Error| {
        let error = anyhow::Error::from(e).context(format!("cannot write `{}`", args.output.display()));
        Failure::environment(error).hint("name another place with `-o FILE`")
    };
    // What could not be recorded never gets its name.
    let aside = Aside::new(&args.output, &json).map_err(unwritable)?;
    context.note(&stated)?;
    aside.place().map_err(unwritable)?;
    context.output.show(&stated, Stated::lines)
}

/// The statement; its subject is the seal's, to the letter.
fn statement(args: &ProvenanceArgs, seal: &Seal, dependencies: &[Value]) -> Result<Value, seal::SealError> {
    let sealed: Value =
        serde_json::from_slice(&seal::Head::of(seal, b"").to_statement()?).unwrap_or_default();
    let parameters: BTreeMap<&str, &str> =
        args.parameter.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut metadata = serde_json::Map::new();
    let times = [("startedOn", args.started), ("finishedOn", args.finished)];
    let times = times.into_iter().filter_map(|(name, time)| Some((name, time?.to_string())));
    let invocation = args.invocation.clone().map(|id| ("invocationId", id));
    for (name, value) in invocation.into_iter().chain(times) {
        metadata.insert(name.to_owned(), value.into());
    }
    Ok(json!({
        "_type": seal::STATEMENT_TYPE,
        "subject": sealed["subject"],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": args.build_type,
                "externalParameters": parameters,
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": args.builder}, "metadata": metadata},
        },
    }))
}

/// A `ResourceDescriptor` of what the command line names.
fn material(text: &str) -> Result<Value, Failure> {
    let Some((uri, digest)) = text.split_once("@sha256:") else { return Ok(json!({"uri": text})) };
    let fits = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match fits {
        true => Ok(json!({"uri": uri, "digest": {"sha256": digest}})),
        false => Err(Failure::input(anyhow::anyhow!("`{text}` names no SHA-256 of 64 lower-case digits"))),
    }
}

/// The modules of a Go program, as package URLs; `h1:` is the go command's own digest, and named so.
fn modules(program: &Path) -> Result<Vec<Value>, Failure> {
    use std::io::Read as _;
    let unusable = |why: anyhow::Error| {
        Failure::input(why.context(format!("cannot read the modules of `{}`", program.display())))
    };
    let mut bytes = Vec::new();
    let file = given::open(program).map_err(|e| unusable(e.into()))?;
    file.take(MAX_PROGRAM).read_to_end(&mut bytes).map_err(|e| unusable(e.into()))?;
    let binary = Binary::parse(&bytes).map_err(|e| unusable(e.into()))?;
    let info = binary.build_info().ok_or_else(|| unusable(anyhow::anyhow!("it names none")))?;
    let toolchain = json!({"uri": format!("pkg:golang/stdlib@{}", info.version)});
    let of = |module: &gobinary::Module| {
        let module = module.replace.as_deref().unwrap_or(module);
        let uri = format!("pkg:golang/{}@{}", module.path, module.version);
        match module.sum.is_empty() {
            true => json!({"uri": uri}),
            false => json!({"uri": uri, "digest": {"h1": module.sum.trim_start_matches("h1:")}}),
        }
    };
    Ok(std::iter::once(toolchain).chain(info.modules.iter().map(of)).collect())
}

impl Stated {
    fn lines(&self) -> String {
        let mut text = format!(
            "provenance of `{}`, {} dependencies\n  builder  {}\n",
            self.seal, self.dependencies, self.builder
        );
        self.key_ids.iter().for_each(|id| text += &format!("  key      {id}\n"));
        text + &format!("  output   {}\n", self.output)
    }
}
