//! Running a command as a whole process: wall time, processor time, peak memory.

use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

/// What one run cost.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Seconds on the clock.
    pub(crate) wall: f64,
    /// Processor seconds, of the process and the children that it waited for, in user and in system mode.
    pub(crate) cpu: f64,
    /// Peak resident memory of the process (not its children), in MiB.
    pub(crate) peak_mib: f64,
}

/// One line of the table: ours against a peer's.
#[derive(Serialize)]
pub(crate) struct Row {
    /// What both do.
    pub(crate) what: String,
    /// The peer, in a few words.
    pub(crate) peer: String,
    /// The unit of the two figures.
    pub(crate) unit: &'static str,
    /// Our median.
    pub(crate) ours: f64,
    /// The peer's median.
    pub(crate) theirs: f64,
    /// Median of ours ÷ peer, round by round.
    pub(crate) ratio: f64,
    /// Our peak memory in MiB, where it was measured.
    pub(crate) peak_mib: Option<f64>,
}

impl Row {
    /// The table's head.
    pub(crate) fn heading() -> &'static str {
        "| what | peer | unit | ours | peer's | ours ÷ peer | our peak MiB |\n|---|---|---|---|---|---|---|"
    }

    /// The row in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let peak = self.peak_mib.map_or_else(|| "–".to_owned(), |mib| format!("{mib:.0}"));
        format!(
            "| {} | {} | {} | {:.3} | {:.3} | {:.3} | {peak} |",
            self.what, self.peer, self.unit, self.ours, self.theirs, self.ratio
        )
    }

    /// Runs both sides in turn after one warm-up of each, and keeps the medians.
    pub(crate) fn alternate(
        (what, peer, unit): (&str, &str, &'static str),
        rounds: usize,
        mut ours: impl FnMut() -> Result<(f64, Option<f64>)>,
        mut theirs: impl FnMut() -> Result<f64>,
    ) -> Result<Self> {
        let (mut a, mut b, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), None::<f64>);
        for round in 0..=rounds {
            let (figure, mib) = ours()?;
            let other = theirs()?;
            if round == 0 && rounds > 1 {
                continue; // the warm-up
            }
            a.push(figure);
            b.push(other);
            ratios.push(figure / other);
            peak = mib.map(|m| peak.map_or(m, |p| p.max(m)));
        }
        let (ours, theirs, ratio) = (median(&mut a), median(&mut b), median(&mut ratios));
        Ok(Self { what: what.to_owned(), peer: peer.to_owned(), unit, ours, theirs, ratio, peak_mib: peak })
    }
}

/// A unit, and what is measured in it.
pub(crate) type Kind = (&'static str, fn(Cost) -> f64);

/// The two that matter of a whole process.
pub(crate) const KINDS: [Kind; 2] = [("CPU s", |cost| cost.cpu), ("s", |cost| cost.wall)];

/// Runs both sides in turn after one warm-up of each, and gives a row for each kind out of the same runs.
pub(crate) fn alternate_costs(
    (what, peer): (&str, &str),
    rounds: usize,
    mut ours: impl FnMut() -> Result<Cost>,
    mut theirs: impl FnMut() -> Result<Cost>,
) -> Result<Vec<Row>> {
    let mut runs = Vec::new();
    for round in 0..=rounds {
        let pair = (ours()?, theirs()?);
        if round > 0 || rounds == 1 {
            runs.push(pair);
        }
    }
    let row = |(unit, figure): Kind| {
        let figures =
            |side: fn(&(Cost, Cost)) -> Cost| runs.iter().map(|run| figure(side(run))).collect::<Vec<_>>();
        let (mut ours, mut theirs) = (figures(|run| run.0), figures(|run| run.1));
        let mut ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
        let (ratio, ours, theirs) = (median(&mut ratios), median(&mut ours), median(&mut theirs));
        let peak_mib = runs.iter().map(|run| run.0.peak_mib).reduce(f64::max);
        Row { what: what.to_owned(), peer: peer.to_owned(), unit, ours, theirs, ratio, peak_mib }
    };
    Ok(KINDS.into_iter().map(row).collect())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs `command` to its end with its output thrown away.
pub(crate) fn run(command: &mut Command) -> Result<Cost> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let (status, usage) = wait_with_usage(&child).with_context(|| format!("waiting for {command:?}"))?;
    if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != 0 {
        bail!("{command:?} ended with wait status {status:#x}");
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    // ru_maxrss is in KiB on Linux, getrusage(2).
    Ok(Cost { wall: begun.elapsed().as_secs_f64(), cpu, peak_mib: usage.ru_maxrss as f64 / 1024.0 })
}

/// `wait4`: the only call that gives the usage of exactly this child; the standard library does not offer it.
fn wait_with_usage(child: &std::process::Child) -> io::Result<(i32, libc::rusage)> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: `rusage` is plain integers, for which all-zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals; `pid` is our child and nobody else waits for it.
    let got = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if got == pid { Ok((status, usage)) } else { Err(io::Error::last_os_error()) }
}

/// What this thread has had of a processor.
pub(crate) fn thread_time() -> Result<std::time::Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local.
    let got = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if got != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(std::time::Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

/// The `custody` that stands beside this program in the target folder.
pub(crate) fn custody() -> Result<std::path::PathBuf> {
    let path = std::env::current_exe()?.with_file_name("custody");
    if !path.is_file() {
        bail!("{} is not built; run `cargo xtask bench`", path.display());
    }
    Ok(path)
}

/// Seconds that this process has had of the processors: fields 14 and 15 of proc_pid_stat(5), in hundredths.
#[cfg(target_os = "linux")]
pub(crate) fn processor_time() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("the process's own figures")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |at: usize| -> Result<f64> { Ok(fields.get(at).context("a short line")?.parse()?) };
    Ok((field(11)? + field(12)?) / 100.0)
}
