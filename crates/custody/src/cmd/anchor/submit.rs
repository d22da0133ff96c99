//! `custody anchor submit`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anchor::{Anchor, Anchored, Authority, Order, Status};
use clap::Args;
use serde::Serialize;

use super::authorities::AuthorityArgs;
use super::{failure, read_proof, record, subject, unwritable};
use crate::aside;
use crate::cmd::Context;
use crate::failure::{Failure, Outcome};

pub(super) const HELP: &str = "\
Only digests leave this machine. Who cannot be reached now is asked again by `custody anchor status`.

Exit code 0: everybody anchored, or will; 1: somebody refused; 2: the input cannot be used; 3: the proof
cannot be written.

Examples:
  $ custody anchor submit bin.seal.json --tsa http://timestamp.example.com/ -o bin.anchor.json
  $ custody anchor submit bin.seal.json --rekor https://log.example.com -o bin.anchor.json";

#[derive(Args)]
pub(super) struct SubmitArgs {
    /// The file whose digest is anchored
    file: PathBuf,
    /// Where to write the proof [default: FILE.anchor.json]; anchors are added to one that is there
    #[arg(long, short, value_name = "PROOF")]
    output: Option<PathBuf>,
    #[command(flatten)]
    authorities: AuthorityArgs,
    /// Business id: the same id and file again are the same request [default: from the file's digest]
    #[arg(long, value_name = "ID")]
    biz_id: Option<String>,
    /// What should stand beside the digest: everybody can read it there (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Say who would be asked, and ask nobody
    #[arg(long)]
    dry_run: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What became of the requests. The names are part of the interface.
#[derive(Serialize)]
pub(super) struct Submitted<'a> {
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) sm3: Option<String>,
    pub(super) proof: Option<String>,
    pub(super) anchors: Vec<Outcomes<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcomes<'a> {
    kind: &'a str,
    authority: &'a str,
    biz_id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    marks: BTreeMap<&'static str, String>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn of(anchor: &'a Anchor) -> Self {
        Self {
            kind: anchor.evidence.kind(),
            authority: &anchor.authority,
            biz_id: &anchor.biz_id,
            status: anchor.status,
            reason: anchor.reason.as_deref(),
            marks: record::marks(anchor).into_iter().collect(),
        }
    }
}

impl Submitted<'_> {
    pub(super) fn lines(&self) -> String {
        let mut text = format!("`{}`\n  sha256   {}\n", self.file, self.sha256);
        text += &self.sm3.as_ref().map(|sm3| format!("  sm3      {sm3}\n")).unwrap_or_default();
        for anchor in &self.anchors {
            let marks = anchor.marks.iter().map(|(name, value)| format!(", {name} {value}"));
            let why = anchor.reason.map(|why| format!(" ({why})")).unwrap_or_default();
            let marks: String = marks.collect();
            text += &format!("  {:8} {} {}{marks}{why}\n", anchor.status, anchor.kind, anchor.authority);
        }
        text + &self.proof.as_ref().map(|proof| format!("  proof    {proof}\n")).unwrap_or_default()
    }
}

pub(super) fn run(args: &SubmitArgs, context: &Context) -> Outcome {
    let authorities = args.authorities.all(context)?;
    let subject = subject(&args.file)?;
    let output = args.output.clone().unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".anchor.json");
        name.into()
    });
    let mut file = if output.exists() { read_proof(&output)? } else { Anchored::new(subject.clone()) };
    if !file.subject.is(&subject) {
        let what =
            format!("`{}` is the proof of another content than `{}`", output.display(), args.file.display());
        return Err(Failure::finding(anyhow::anyhow!(what)).hint("write to another file with `-o PROOF`"));
    }
    let metadata: BTreeMap<_, _> = args.metadata.iter().cloned().collect();
    let own = format!("custody-{}", &subject.sha256()[..40]);
    let biz_id = args.biz_id.as_deref().unwrap_or(&own);
    let requested = jiff::Timestamp::now();
    let order = Order { subject: &subject, biz_id, requested, metadata: &metadata };
    order.check().map_err(failure)?;
    if args.dry_run {
        let names: Vec<_> = authorities.iter().map(|a| format!("  {} {}\n", a.kind(), a.address())).collect();
        return context.output.text(&format!("would ask, about {}\n{}", subject.sha256(), names.concat()));
    }
    let mut asked = Vec::new();
    for authority in &authorities {
        let anchor = ask(authority.as_ref(), &order, context)?;
        // Written each time: what one authority gave must not be lost when the next one kills the program.
        let same = |a: &Anchor| {
            a.authority == anchor.authority
                && a.biz_id == anchor.biz_id
                && a.evidence.kind() == anchor.evidence.kind()
        };
        file.anchors.retain(|a| !(same(a) && a.status != Status::Success));
        file.anchors.push(anchor.clone());
        asked.push(anchor);
        let bytes = file.to_json().map_err(failure)?;
        aside::write(&output, &bytes).map_err(|e| unwritable(e, &output))?;
    }
    let submitted = Submitted {
        file: args.file.display().to_string(),
        sha256: subject.sha256(),
        sm3: subject.sm3(),
        proof: Some(output.display().to_string()),
        anchors: asked.iter().map(Outcomes::of).collect(),
    };
    context.output.show(&submitted, Submitted::lines)?;
    refusals(&asked)
}

/// Asks one authority, with the request and its outcome on record.
fn ask(authority: &dyn Authority, order: &Order<'_>, context: &Context) -> Result<Anchor, Failure> {
    let (address, kind) = (authority.address(), authority.kind());
    let requested = order.requested.to_string();
    let fact = record::requested(order.subject, order.biz_id, address, kind, &requested, order.metadata);
    record::record(context, Some(fact))?;
    let anchor = match authority.submit(order) {
        Ok(anchor) => anchor,
        Err(error) => {
            let status = if error.is_passing() { Status::Pending } else { Status::Failed };
            let mut anchor = order.anchor(address, status, authority.nothing());
            anchor.reason = Some(format!("{:#}", anyhow::Error::from(error)));
            anchor
        }
    };
    record::record(context, record::outcome(order.subject, &anchor))?;
    Ok(anchor)
}

/// Exit code 1 when somebody refused.
pub(super) fn refusals(anchors: &[Anchor]) -> Outcome {
    let refused: Vec<_> = anchors
        .iter()
        .filter(|anchor| anchor.status == Status::Failed)
        .map(|anchor| format!("{}: {}", anchor.authority, anchor.reason.as_deref().unwrap_or("no reason")))
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::finding(anyhow::anyhow!("not anchored by {}", refused.join("; ")))),
    }
}
