//! `custody pe reputation package`: a folder with everything that a submission asks for.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use authenticode::Image;
use authenticode::sign;
use clap::Args;
use event::Fact;
use gobinary::GoInfo;
use pkix::{Digest, Time};
use serde::Serialize;
use serde_json::json;

use super::check::{self, Checked, Looked, SubjectArgs};
use super::sbom;
use super::state::{Status, Submission, write, write_json};
use crate::cmd::Context;
use crate::cmd::pe::text::{self, Facts};
use crate::cmd::pe::{moment, walk};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
The folder holds the program, its signature, what verification says of it, how it was built, the three anchors, a bill
of materials (CycloneDX), the reason to paste, and SHA256SUMS over all of them. Hand it in at the portal, then note the
number with `custody pe reputation record`.

Examples:
  $ custody pe reputation package ready.exe --ca root.pem --domain download.example.com -o submission --company 'Example Ltd' --repository https://github.com/example/payments --build https://ci.example.com/42";

#[derive(Args)]
pub(super) struct PackageArgs {
    /// The program, as it will be offered
    file: PathBuf,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    pub(super) links: LinkArgs,
    /// The folder; it must not exist
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Write it even if `check` says that it is not ready
    #[arg(long)]
    anyway: bool,
}

/// What a reader of the submission can follow.
#[derive(Args)]
pub(super) struct LinkArgs {
    /// Who publishes it
    #[arg(long, value_name = "TEXT", help_heading = "Submission")]
    company: Option<String>,
    /// Where its source is
    #[arg(long, value_name = "URL", help_heading = "Submission")]
    repository: Option<String>,
    /// The log of its build
    #[arg(long, value_name = "URL", help_heading = "Submission")]
    build: Option<String>,
    /// Where more about it is to be found
    #[arg(long, value_name = "URL", help_heading = "Submission")]
    website: Option<String>,
    /// The detection that is wrong, as the product names it
    #[arg(long, value_name = "NAME", help_heading = "Submission")]
    detection: Option<String>,
}

/// The names are part of the interface.
#[derive(Serialize)]
pub(super) struct Packaged {
    act: &'static str,
    folder: String,
    file: String,
    sha256: String,
    ready: bool,
    files: Vec<String>,
}

impl Recorded for Packaged {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act).subject("svc", "custody").object("path", self.folder.clone());
        Some(fact.object("sha256", self.sha256.clone()).context("file", self.file.clone()))
    }
}

impl Packaged {
    pub(super) fn lines(&self) -> String {
        format!(
            "submission in `{}`\n  sha256    {}\n  files     {}\n",
            self.folder,
            self.sha256,
            self.files.join(", ")
        )
    }
}

pub(super) fn run(args: &PackageArgs, context: &Context) -> Outcome {
    let looked = check::look(&args.file, &args.subject)?;
    if let Some(fault) = looked.checked.fault().filter(|_| !args.anyway) {
        let what = format!("`{}` is not ready: {fault}", args.file.display());
        return Err(Failure::finding(anyhow::anyhow!(what)).hint(
            "see every mend with `custody pe reputation check`; or write it all the same with `--anyway`",
        ));
    }
    let packaged = package(&args.file, &looked, &args.links, &args.output, context)?;
    context.conclude(&packaged, Packaged::lines)
}

/// Writes the folder aside, then gives it its name: whoever looks sees all of it or nothing.
pub(super) fn package(
    file: &Path,
    looked: &Looked,
    links: &LinkArgs,
    output: &Path,
    context: &Context,
) -> Result<Packaged, Failure> {
    let failed = |e: std::io::Error| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write `{}`", output.display())))
    };
    if output.symlink_metadata().is_ok() {
        return Err(Failure::input(anyhow::anyhow!("`{}` exists", output.display()))
            .hint("each submission has a folder of its own; name one that does not exist"));
    }
    if context.home.existing().is_ok() {
        context.session()?;
    }
    let parent = output.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new().prefix(".submission-").tempdir_in(parent).map_err(failed)?;
    let made = moment::made(None)?;
    fill(aside.path(), file, looked, links, made)?;
    let mut files: Vec<String> =
        walk::files(&[aside.path().to_owned()])?.into_iter().map(|f| f.name).collect();
    let sums = sums(aside.path(), &files)?;
    write(&aside.path().join("SHA256SUMS"), sums.as_bytes())?;
    // Not among the sums: it changes as the submission goes on.
    let anchors = &looked.checked.anchors;
    let submission = Submission {
        version: 1,
        file: anchors.file.name.clone(),
        sha256: anchors.file.sha256.clone(),
        status: Status::Prepared,
        id: None,
        prepared: made.to_string(),
        submitted: None,
        decided: None,
    };
    submission.write(aside.path())?;
    files.extend(["SHA256SUMS".to_owned(), super::state::NAME.to_owned()]);
    readable(aside.path()).map_err(failed)?;
    std::fs::rename(aside.path(), output).map_err(failed)?;
    let _ = aside.keep(); // it has another name now
    Ok(Packaged {
        act: "PE.SUBMISSION.PREPARED",
        folder: output.display().to_string(),
        file: anchors.file.name.clone(),
        sha256: anchors.file.sha256.clone(),
        ready: looked.checked.ready,
        files,
    })
}

/// A folder that was made aside is its maker's alone; a submission holds nothing secret.
#[cfg(unix)]
fn readable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn fill(folder: &Path, file: &Path, looked: &Looked, links: &LinkArgs, made: Time) -> Outcome {
    let checked = &looked.checked;
    let name = &checked.anchors.file.name;
    let failed = |e: std::io::Error| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot copy `{}`", file.display())))
    };
    let copy = folder.join(name);
    let mut source = walk::open(file)?;
    std::io::copy(&mut source, &mut std::fs::File::create_new(&copy).map_err(failed)?).map_err(failed)?;
    let mut copied = std::fs::File::open(&copy).map_err(failed)?;
    if check::digest(&mut copied, &copy)? != checked.anchors.file.sha256 {
        let what = format!("`{}` was written to while it was read", file.display());
        return Err(
            Failure::environment(anyhow::anyhow!(what)).hint("stop whatever writes to it, then try again")
        );
    }
    signature(folder, name, &mut copied, &copy)?;
    let facts = Facts::of(&looked.report);
    let holds = looked.report.holds();
    write(&folder.join("verification.txt"), text::verified(name, holds, &facts, true).as_bytes())?;
    write_json(&folder.join("verification.json"), &json!({ "file": name, "holds": holds, "facts": facts }))?;
    write_json(&folder.join("anchors.json"), &checked.anchors)?;
    write_json(&folder.join("findings.json"), &checked.findings)?;
    if let Some(info) = &checked.go {
        write_json(&folder.join("build.json"), &build(info, links))?;
        let bom = sbom::cyclonedx(info, name, &checked.anchors.file.sha256, made);
        write_json(&folder.join("sbom.cdx.json"), &bom)?;
    }
    write(&folder.join("reason.txt"), reason(checked, links).as_bytes())
}

/// The first signature by itself, as the portal of the document asks for it.
fn signature(folder: &Path, name: &str, copied: &mut std::fs::File, copy: &Path) -> Outcome {
    let failed = |e| super::super::failure(e, copy);
    let image = Image::read(copied).map_err(failed)?;
    let table = sign::read_table(copied, &image).map_err(failed)?;
    match sign::first_signature(&table).map_err(failed)? {
        Some(pkcs7) => write(&folder.join(format!("{name}.sig")), &pkcs7),
        None => Ok(()),
    }
}

/// How it was built.
fn build(info: &GoInfo, links: &LinkArgs) -> serde_json::Value {
    let setting = |name: &str| info.settings.get(name);
    json!({
        "go": info.version,
        "os": setting("GOOS"),
        "architecture": setting("GOARCH"),
        "package": info.package,
        "module": info.main,
        "revision": setting("vcs.revision"),
        "revision_time": setting("vcs.time"),
        "settings": info.settings,
        "repository": links.repository,
        "build_log": links.build,
    })
}

/// What is pasted into "Reason for submission".
fn reason(checked: &Checked, links: &LinkArgs) -> String {
    let anchors = &checked.anchors;
    let mut out = String::from(
        "This is a legitimate Go-based Windows program signed with a code-signing certificate.\n\n",
    );
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = writeln!(out, "{name}: {value}"); // writing to a String cannot fail
        }
    };
    line("Publisher", links.company.as_deref());
    line("File", Some(&anchors.file.name));
    line("SHA-256", Some(&anchors.file.sha256));
    let certificate = anchors.certificate.as_ref();
    line("Signer", certificate.map(|certificate| certificate.subject.as_str()));
    line("Certificate SHA-1", certificate.map(|certificate| certificate.sha1.as_str()));
    line("Offered at", anchors.domain.as_ref().map(|domain| domain.domain.as_str()));
    line("Detection that we believe to be wrong", links.detection.as_deref());
    if let Some(info) = &checked.go {
        let setting = |name: &str| info.settings.get(name).map(String::as_str);
        line("Built with", Some(&info.version));
        let platform =
            [setting("GOOS"), setting("GOARCH")].into_iter().flatten().collect::<Vec<_>>().join("/");
        line("Platform", Some(&platform));
        line("Source revision", setting("vcs.revision"));
    }
    line("Source", links.repository.as_deref());
    line("Build log", links.build.as_deref());
    line("Website", links.website.as_deref());
    out += "\nAttached: the signature, the output of its verification, the build settings and a bill of materials.\n";
    out
}

/// As `sha256sum` writes and checks it.
fn sums(folder: &Path, files: &[String]) -> Result<String, Failure> {
    let mut out = String::new();
    for name in files {
        let path = folder.join(name);
        let mut file = walk::open(&path)?;
        let _ = writeln!(out, "{}  {name}", check::digest(&mut file, &path)?); // writing to a String cannot fail
    }
    Ok(out)
}

/// A short name for the folder of the submission of a file with this digest.
pub(super) fn folder_name(sha256: &str) -> String {
    debug_assert_eq!(sha256.len(), 2 * Digest::Sha256.size());
    format!("submission-{}", sha256.get(..16).unwrap_or(sha256))
}
