//! When a probe ends: at SIGINT or SIGTERM, after `--duration`, or when its process has ended.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Watches for the end.
pub(crate) struct Until {
    told: Arc<AtomicBool>,
    end: Option<Instant>,
    process: Option<PathBuf>,
    began: Instant,
}

impl Until {
    /// From now on a signal no longer ends this process by itself.
    pub(crate) fn watch(duration: Option<u64>, pid: Option<NonZeroU32>) -> Result<Self, Failure> {
        let told = Arc::new(AtomicBool::new(false));
        let cannot = |e: std::io::Error| {
            Failure::environment(anyhow::Error::from(e).context("cannot wait for signals"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let (mut int, mut term) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt()).map_err(cannot)?,
                signal(SignalKind::terminate()).map_err(cannot)?,
            )
        };
        let tell = Arc::clone(&told);
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
            });
            tell.store(true, Ordering::Relaxed);
        });
        let began = Instant::now();
        Ok(Self {
            told,
            end: duration.map(|seconds| began + Duration::from_secs(seconds)),
            process: pid.map(|pid| PathBuf::from(format!("/proc/{pid}/exe"))),
            began,
        })
    }

    /// Whether to go on. Also false when the process has ended: what it did until then has been seen.
    pub(crate) fn goes_on(&self) -> bool {
        !self.told.load(Ordering::Relaxed)
            && self.end.is_none_or(|end| Instant::now() < end)
            && self.process.as_ref().is_none_or(|exe| exe.read_link().is_ok())
    }

    /// How long it has been.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}
