//! `[crypto]` of `custody.toml`: who computes the national algorithms, use by use, and what is recorded when that cannot be.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::Fact;
use gmdevice::sdf::SdfSigner;
use gmdevice::{Device, DeviceError, Provider};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cmd::Context;
use crate::config::Config;
use crate::failure::Failure;
use crate::given;
use crate::recorder::Recorded;

/// What the name of a key in an SDF device begins with; an index follows.
pub(crate) const SDF_KEY: &str = "sdf:";
/// Bytes of a password that are read.
const MAX_PASSWORD: u64 = 1024;

/// `[crypto]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Crypto {
    /// Who computes SM3 of what is sealed and verified.
    seal_sm3: Who,
    /// Whether the processor computes when that cannot be.
    fall_back: bool,
    /// The GM/T 0018 library.
    sdf_library: Option<PathBuf>,
    /// The file with the password of its signing keys.
    sdf_password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Who {
    #[default]
    Cpu,
    Kernel,
    Sdf,
}

impl Default for Crypto {
    fn default() -> Self {
        Self { seal_sm3: Who::Cpu, fall_back: true, sdf_library: None, sdf_password_file: None }
    }
}

impl Crypto {
    fn library(&self) -> Result<&Path, Failure> {
        self.sdf_library.as_deref().ok_or_else(|| {
            Failure::input(anyhow::anyhow!("custody.toml names no GM/T 0018 library"))
                .hint("set `sdf_library` under `[crypto]`")
        })
    }
}

/// That somebody else had to compute, as it is recorded.
#[derive(Serialize)]
struct FellBack {
    r#use: &'static str,
    wanted: String,
    reason: String,
}

impl Recorded for FellBack {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new("CRYPTO.FALLBACK").subject("svc", "custody").object("use", self.r#use);
        Some(fact.context("wanted", self.wanted.clone()).context("reason", self.reason.clone()))
    }
}

/// The device that computes SM3 of what is sealed; none where the processor does, by choice or because the device cannot.
pub(crate) fn seal_sm3(context: &Context) -> Result<Option<Arc<Device>>, Failure> {
    if context.home.existing().is_err() {
        return Ok(None);
    }
    let crypto = Config::of(&context.home)?.crypto;
    let provider = match crypto.seal_sm3 {
        Who::Cpu => return Ok(None),
        Who::Kernel => Provider::Kernel,
        Who::Sdf => Provider::Sdf(crypto.library()?.to_owned()),
    };
    match Device::open(&provider) {
        Ok(device) => Ok(Some(Arc::new(device))),
        Err(error) if crypto.fall_back => {
            let reason = evidence_of(&error);
            context.note(&FellBack {
                r#use: "seal.sm3",
                wanted: provider.to_string(),
                reason: reason.clone(),
            })?;
            context.output.remark(&format!("remark: SM3 is computed by the processor: {reason}"));
            Ok(None)
        }
        Err(error) => Err(Failure::environment(
            anyhow::Error::from(error)
                .context(format!("custody.toml wants SM3 by {provider}, and allows nobody else")),
        )
        .hint("mend the device, or allow the processor with `fall_back = true` under `[crypto]`")),
    }
}

/// The error and its causes, on one line.
fn evidence_of(error: &DeviceError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The key of the device that `name` (`sdf:1`) names; `None` for a name of another kind.
pub(crate) fn sdf_signer(context: &Context, name: &str) -> Result<Option<SdfSigner>, Failure> {
    let Some(index) = name.strip_prefix(SDF_KEY) else { return Ok(None) };
    let index = index.parse().map_err(|_| {
        Failure::input(anyhow::anyhow!("`{name}` names no key of a device")).hint("an index follows: `sdf:1`")
    })?;
    let crypto = Config::of(&context.home)?.crypto;
    let password = crypto.sdf_password_file.as_deref().map(password).transpose()?;
    let signer = SdfSigner::open(crypto.library()?, index, password.as_deref().map(Vec::as_slice));
    let failed = |e| Failure::environment(anyhow::Error::from(e).context(format!("cannot use key `{name}`")));
    signer.map(Some).map_err(failed)
}

/// The first line of a file.
fn password(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // The whole room at once: a buffer that grew would leave unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * usize::try_from(MAX_PASSWORD).unwrap_or(0)));
    given::open(file).and_then(|opened| opened.take(MAX_PASSWORD).read_to_end(&mut bytes)).map_err(|e| {
        Failure::input(anyhow::Error::from(e).context(format!("cannot read `{}`", file.display())))
    })?;
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    bytes.truncate(end);
    Ok(bytes)
}
