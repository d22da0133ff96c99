//! `custody pe resource set`.

use std::path::{Path, PathBuf};

use authenticode::Image;
use authenticode::resource::icon::{Icon, MAX_ICO};
use authenticode::resource::manifest::{self, Level};
use authenticode::resource::place::{self, Options, Placed};
use authenticode::resource::version::VersionInfo;
use authenticode::resource::{ENGLISH, Key, MANIFEST, Resources, VERSION};
use clap::Args;
use event::Fact;
use pkix::Digest;
use serde::Serialize;

use super::go;
use crate::cmd::Context;
use crate::cmd::pe::credential::read_up_to;
use crate::cmd::pe::moment;
use crate::cmd::pe::replace::Replacement;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
What Go's build information says of a program is filled in. The same input gives the same file; Go's linker writes no
time, and with SOURCE_DATE_EPOCH or `--time` the header has one. A signed file is refused: sign it afterwards.

Examples:
  $ custody pe resource set app.exe --string CompanyName='Example Ltd' --file-version 1.2.3.4 -o bare.exe
  $ custody pe resource set bare.exe --default-manifest --time 2026-11-20T08:30:00Z";

/// A larger manifest is not put in; the loader's own limit is below.
const MAX_MANIFEST: u64 = 1 << 20;
/// Texts that Windows asks for in every version resource (Win32, "StringFileInfo structure").
const EXPECTED: &[&str] = &[
    "CompanyName",
    "FileDescription",
    "FileVersion",
    "InternalName",
    "OriginalFilename",
    "ProductName",
    "ProductVersion",
];

#[derive(Args)]
pub(super) struct SetArgs {
    /// Program, library or driver
    file: PathBuf,
    /// Write here and leave the original alone
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Version of the file, up to four numbers
    #[arg(long, value_name = "N.N.N.N", value_parser = quad)]
    file_version: Option<[u16; 4]>,
    /// Version of the product [default: that of the file]
    #[arg(long, value_name = "N.N.N.N", value_parser = quad)]
    product_version: Option<[u16; 4]>,
    /// Text of the version information, as CompanyName or LegalCopyright (repeatable)
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    string: Vec<(String, String)>,
    /// Icon in all its sizes; takes the place of the icon that is there
    #[arg(long, value_name = "ICO")]
    icon: Option<PathBuf>,
    /// Manifest, as it stands in this file
    #[arg(long, value_name = "XML")]
    manifest: Option<PathBuf>,
    /// Manifest that suits a service or a command-line program
    #[arg(long, conflicts_with = "manifest")]
    default_manifest: bool,
    /// Rights that the default manifest asks for: invoker, highest or administrator
    #[arg(long, value_name = "LEVEL", default_value = "invoker", value_parser = level, requires = "default_manifest")]
    rights: Level,
    /// Time in the header [default: SOURCE_DATE_EPOCH; else it stays as it is]
    #[arg(long, value_name = "TIME")]
    time: Option<jiff::Timestamp>,
    /// Language of texts and icon, a LANGID
    #[arg(long, value_name = "N", default_value_t = ENGLISH)]
    language: u16,
    /// Take the signature away from a file that is signed
    #[arg(long)]
    drop_signature: bool,
}

fn quad(text: &str) -> Result<[u16; 4], String> {
    const WRONG: &str = "write up to four numbers up to 65535, as 1.2.3.4";
    let mut out = [0; 4];
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 4 {
        return Err(WRONG.to_owned());
    }
    for (place, part) in out.iter_mut().zip(parts) {
        *place = part.parse().map_err(|_| WRONG.to_owned())?;
    }
    Ok(out)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write it as NAME=TEXT".to_owned()),
    }
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "invoker" => Ok(Level::AsInvoker),
        "highest" => Ok(Level::Highest),
        "administrator" => Ok(Level::Administrator),
        _ => Err("known are invoker, highest and administrator".to_owned()),
    }
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Changed {
    act: &'static str,
    file: String,
    output: String,
    section: &'static str,
    resources: usize,
    time_date_stamp: u32,
    sha256: String,
}

impl Recorded for Changed {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act).subject("svc", "custody").object("path", self.output.clone());
        Some(fact.object("sha256", self.sha256.clone()).context("resources", self.resources.to_string()))
    }
}

pub(super) fn run(args: &SetArgs, context: &Context) -> Outcome {
    let time = time(args)?;
    if context.home.existing().is_ok() {
        // A ledger that cannot be written to must show before anything is changed that it does not know of.
        context.session()?;
    }
    let target = args.output.as_ref().unwrap_or(&args.file);
    let failed = |e| super::super::failure(e, &args.file);
    let mut replacement = Replacement::open(&args.file, target)?;
    let image = Image::read(&mut replacement.source).map_err(failed)?;
    if image.table.is_some() && !args.drop_signature {
        let what =
            format!("`{}` is signed, and the signature would be of another image", args.file.display());
        return Err(Failure::input(anyhow::anyhow!(what))
            .hint("change it before it is signed; or take the signature away with `--drop-signature`"));
    }
    let existing = place::existing(&mut replacement.source, &image).map_err(failed)?;
    let mut resources = match &existing {
        Some((rva, section)) => Resources::read(section, *rva).map_err(failed)?,
        None => Resources::default(),
    };
    change(args, &image, &mut replacement, &mut resources)?;
    let options = Options { time, drop_signature: args.drop_signature };
    let placed = place::write(&mut replacement.source, &image, &resources, options, &mut replacement.copy)
        .map_err(failed)?;
    let count = resources.len();
    let stamp = time.unwrap_or(image.time_date_stamp);
    replacement.place()?;
    let changed = Changed {
        act: "PE.RESOURCES.SET",
        file: args.file.display().to_string(),
        output: target.display().to_string(),
        section: match placed {
            Placed::Appended => "appended",
            Placed::Replaced => "replaced",
            Placed::Nothing => "none",
        },
        resources: count,
        time_date_stamp: stamp,
        sha256: digest(target)?,
    };
    if stamp == 0 {
        context.output.remark(
            "remark: the header has no time, which reputation services refuse; set SOURCE_DATE_EPOCH or `--time`",
        );
    }
    context.conclude(&changed, |c| {
        format!(
            "changed `{}`\n  resources {}, section {}\n  sha256    {}\n",
            c.output, c.resources, c.section, c.sha256
        )
    })
}

/// Seconds since 1970 in the 32 bits of the header.
fn time(args: &SetArgs) -> Result<Option<u32>, Failure> {
    let time = match args.time {
        Some(given) => Some(given.as_second()),
        None => moment::of_the_source()?.map(|time| time.0),
    };
    let fits = |seconds: i64| {
        u32::try_from(seconds).map_err(|_| {
            Failure::input(anyhow::anyhow!("the time does not fit into the header, which ends in 2106"))
        })
    };
    time.map(fits).transpose()
}

fn change(
    args: &SetArgs,
    image: &Image,
    replacement: &mut Replacement,
    resources: &mut Resources<'_>,
) -> Outcome {
    let failed = |e| super::super::failure(e, &args.file);
    let says = args.file_version.is_some() || args.product_version.is_some() || !args.string.is_empty();
    if says || resources.of_kind(&VERSION).next().is_none() {
        let info = version(args, image, replacement, resources)?;
        resources.remove(&VERSION, |_| true);
        resources.set(Key::new(VERSION, 1, args.language), info.to_bytes().map_err(failed)?);
    }
    if let Some(file) = &args.icon {
        let icon =
            Icon::read(&read_up_to(file, MAX_ICO as u64)?).map_err(|e| super::super::failure(e, file))?;
        icon.put(resources, args.language);
    }
    let manifest = match (&args.manifest, args.default_manifest) {
        (Some(file), _) => Some(well_formed(file)?),
        (None, true) => Some(manifest::default(args.rights).into_bytes()),
        (None, false) => None,
    };
    if let Some(manifest) = manifest {
        // CREATEPROCESS_MANIFEST_RESOURCE_ID of programs, ISOLATIONAWARE_MANIFEST_RESOURCE_ID of libraries (`winuser.h`).
        let number = if image.is_dll() { 2 } else { 1 };
        resources.remove(&MANIFEST, |_| true);
        resources.set(Key::new(MANIFEST, number, args.language), manifest);
    }
    Ok(())
}

/// What was there, what was said, what the program itself says, in the order in which they count from behind.
fn version(
    args: &SetArgs,
    image: &Image,
    replacement: &mut Replacement,
    resources: &Resources<'_>,
) -> Result<VersionInfo, Failure> {
    let old = resources.of_kind(&VERSION).next().map(|(_, resource)| VersionInfo::read(&resource.data));
    let mut info = old.transpose().map_err(|e| super::super::failure(e, &args.file))?.unwrap_or_default();
    info.language = args.language;
    info.file_type = match (image.is_kernel(), image.is_dll()) {
        (true, _) => 3,
        (_, true) => 2,
        _ => 1,
    };
    for (name, text) in &args.string {
        info.strings.retain(|(known, _)| known != name);
        info.strings.push((name.clone(), text.clone()));
    }
    if let Some(version) = args.file_version {
        info.file = version;
        set(&mut info, args, "FileVersion", &dotted(version));
    }
    if let Some(version) = args.product_version {
        info.product = version;
        set(&mut info, args, "ProductVersion", &dotted(version));
    }
    go::fill(&mut info, &mut replacement.source).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot read `{}`", args.file.display())))
    })?;
    if info.product == [0; 4] {
        info.product = info.file;
    }
    let target = args.output.as_ref().unwrap_or(&args.file);
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (file, product) = (dotted(info.file), dotted(info.product));
    go::default(&mut info, "OriginalFilename", &name);
    go::default(&mut info, "InternalName", name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem));
    go::default(&mut info, "FileVersion", &file);
    go::default(&mut info, "ProductVersion", &product);
    // The expected ones in their usual order, others behind.
    let place = |name: &str| EXPECTED.iter().position(|known| *known == name).unwrap_or(EXPECTED.len());
    info.strings.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    Ok(info)
}

/// The text beside a number, unless it was given as well.
fn set(info: &mut VersionInfo, args: &SetArgs, name: &str, text: &str) {
    if !args.string.iter().any(|(given, _)| given == name) {
        info.strings.retain(|(known, _)| known != name);
        info.strings.push((name.to_owned(), text.to_owned()));
    }
}

fn dotted(version: [u16; 4]) -> String {
    version.map(|number| number.to_string()).join(".")
}

/// A program with a manifest that is not well-formed does not start.
fn well_formed(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read_up_to(file, MAX_MANIFEST)?.to_vec();
    let refused = |why: String| {
        Failure::input(anyhow::anyhow!("`{}` is no manifest: {why}", file.display()))
            .hint("Windows would not start a program with it")
    };
    let mut reader = quick_xml::Reader::from_reader(bytes.as_slice());
    let (mut root, mut open) = (None, 0u32);
    loop {
        use quick_xml::events::Event;
        match reader.read_event() {
            Ok(Event::Eof) if open == 0 => break,
            Ok(Event::Eof) => return Err(refused("it is cut off".to_owned())),
            Ok(Event::Start(start)) => {
                open += 1;
                root.get_or_insert_with(|| start.local_name().as_ref().to_owned());
            }
            Ok(Event::Empty(empty)) => {
                root.get_or_insert_with(|| empty.local_name().as_ref().to_owned());
            }
            Ok(Event::End(_)) => open = open.saturating_sub(1),
            Ok(_) => {}
            Err(error) => return Err(refused(error.to_string())),
        }
    }
    match root.as_deref() {
        Some("assembly") => Ok(bytes),
        _ => Err(refused("its root is not `assembly`".to_owned())),
    }
}

fn digest(file: &Path) -> Result<String, Failure> {
    let failed = |e: std::io::Error| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot read `{}`", file.display())))
    };
    let mut hasher = Digest::Sha256.hasher();
    let mut source = std::fs::File::open(file).map_err(failed)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match std::io::Read::read(&mut source, &mut buffer).map_err(failed)? {
            0 => return Ok(hex::encode(hasher.finish())),
            count => hasher.update(&buffer[..count]),
        }
    }
}
