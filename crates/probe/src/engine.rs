//! Programs in the kernel, attached to sites of a target, and the ring of records that they fill.
//!
//! The seam for every kind of probe:
//! 1. compute sites ([`crate::sites`]) and constants from the target's bytes;
//! 2. [`Engine::load`] one object of [`crate::programs`] with these constants;
//! 3. fill its maps, [`Engine::attach`] its programs;
//! 4. [`Engine::drain`] the ring every [`PAUSE`], and read [`Engine::lost`].
//!
//! Dropping an engine detaches: the kernel puts the original byte back at each site. The same happens when the process
//! is killed, since links live as long as their descriptors do.

use std::path::Path;
use std::time::Duration;

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope};
use aya::programs::{TracePoint, UProbe};
use aya::{Ebpf, EbpfLoader, Pod};

use crate::error::{Error, Result};
use crate::sites::Site;
use crate::target::Target;

/// How long to wait before the ring is looked at again: at a hundred thousand records of 200 bytes a second half a
/// megabyte of the ring's eight is filled meanwhile.
pub const PAUSE: Duration = Duration::from_millis(25);

/// Records that one call of [`Engine::drain`] hands over, so that a flood cannot keep it from ever ending.
const BATCH: usize = 1 << 16;

/// A constant of a program, by the name that its C source gives it.
#[derive(Clone, Copy, Debug)]
pub enum Constant {
    /// `volatile const u32`.
    Word(&'static str, u32),
    /// `volatile const u64`.
    Long(&'static str, u64),
}

impl Constant {
    /// The value of a [`Constant::Word`].
    pub(crate) fn word(&self) -> Option<u32> {
        match self {
            Self::Word(_, value) => Some(*value),
            Self::Long(..) => None,
        }
    }
}

/// What was not told, by reason; `bpf/engine.h`, `enum loss`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// Records for which the ring had no room.
    pub no_room: u64,
    /// Ends of calls whose beginning was not seen: they were under way when the probe came.
    pub unmatched: u64,
    /// Hits at which the target's memory could not be read.
    pub unreadable: u64,
    /// Calls that could not be kept until their end.
    pub forgotten: u64,
}

/// A loaded object.
pub struct Engine {
    programs: Ebpf,
    ring: RingBuf<MapData>,
    lost: PerCpuArray<MapData, u64>,
}

impl Engine {
    /// Loads an object with its constants set; nothing is attached yet.
    ///
    /// # Errors
    /// [`Error::Privilege`] or [`Error::Kernel`] where probes cannot be had; [`Error::Program`] when the kernel
    /// refuses the object.
    pub fn load(name: &'static str, object: &[u8], constants: &[Constant]) -> Result<Self> {
        crate::privilege::check()?;
        let mut loader = EbpfLoader::new();
        for constant in constants {
            match constant {
                Constant::Word(name, value) => loader.override_global(name, value, true),
                Constant::Long(name, value) => loader.override_global(name, value, true),
            };
        }
        let mut programs = loader.load(object).map_err(|e| refused(name, e))?;
        let ring = take(&mut programs, "events")?.try_into().map_err(|e| refused("events", e))?;
        let lost = take(&mut programs, "lost")?.try_into().map_err(|e| refused("lost", e))?;
        Ok(Self { programs, ring, lost })
    }

    /// Attaches `program` at a site of function number `function`.
    ///
    /// # Errors
    /// [`Error::Program`] when the kernel's verifier refuses the program; [`Error::Attach`] for the site.
    pub fn attach(
        &mut self,
        program: &'static str,
        target: &Target,
        site: &Site,
        function: u32,
    ) -> Result<()> {
        let missing = || refused(program, "there is no such program");
        let probe: &mut UProbe = self
            .programs
            .program_mut(program)
            .ok_or_else(missing)?
            .try_into()
            .map_err(|e| refused(program, e))?;
        if probe.fd().is_err() {
            probe.load().map_err(|e| refused(program, e))?;
        }
        let scope = target.pid().map_or(UProbeScope::AllProcesses, UProbeScope::OneProcess);
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(site.file_offset),
            cookie: Some(site.cookie(function)),
        };
        let attached = probe.attach(point, target.path(), scope);
        attached.map(|_| ()).map_err(|e| Error::Attach { offset: site.file_offset, source: Box::new(e) })
    }

    /// Attaches `program` to a tracepoint of the kernel.
    ///
    /// # Errors
    /// [`Error::Kernel`] when there is no such tracepoint, or tracefs is not mounted; [`Error::Program`] when the
    /// kernel's verifier refuses the program.
    pub fn attach_tracepoint(&mut self, program: &'static str, category: &str, name: &str) -> Result<()> {
        let places = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
        if !places.iter().any(|place| Path::new(place).join("events").join(category).join(name).exists()) {
            let missing = "tracepoints of system calls (CONFIG_FTRACE_SYSCALLS; and `mount -t tracefs tracefs \
                           /sys/kernel/tracing`)";
            return Err(Error::Kernel { missing });
        }
        let missing = || refused(program, "there is no such program");
        let probe: &mut TracePoint = self
            .programs
            .program_mut(program)
            .ok_or_else(missing)?
            .try_into()
            .map_err(|e| refused(program, e))?;
        if probe.fd().is_err() {
            probe.load().map_err(|e| refused(program, e))?;
        }
        probe.attach(category, name).map(|_| ()).map_err(|e| refused(program, e))
    }

    /// A map of the object, to keep.
    ///
    /// # Errors
    /// [`Error::Program`] when it is not there, or not of that kind.
    pub fn counters<V: Pod>(&mut self, name: &'static str) -> Result<PerCpuArray<MapData, V>> {
        take(&mut self.programs, name)?.try_into().map_err(|e| refused(name, e))
    }

    /// Writes rows of an array map.
    ///
    /// # Errors
    /// [`Error::Program`] when it is not there, not of that kind, or too short.
    pub fn fill<V: Pod>(
        &mut self,
        name: &'static str,
        rows: impl IntoIterator<Item = (u32, V)>,
    ) -> Result<()> {
        let map = self.programs.map_mut(name).ok_or_else(|| refused(name, "there is no such map"))?;
        let mut map: Array<_, V> = map.try_into().map_err(|e| refused(name, e))?;
        rows.into_iter().try_for_each(|(number, row)| map.set(number, row, 0).map_err(|e| refused(name, e)))
    }

    /// Hands over what the ring holds, oldest first; how many records that were.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < BATCH
            && let Some(record) = self.ring.next()
        {
            each(&record);
            count += 1;
        }
        count
    }

    /// What was not told so far.
    ///
    /// # Errors
    /// [`Error::Program`] when the counters cannot be read.
    pub fn lost(&self) -> Result<Lost> {
        let read = |number: u32| {
            let values = self.lost.get(&number, 0).map_err(|e| refused("lost", e))?;
            Ok(values.iter().sum())
        };
        Ok(Lost { no_room: read(0)?, unmatched: read(1)?, unreadable: read(2)?, forgotten: read(3)? })
    }
}

fn take(programs: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map> {
    programs.take_map(name).ok_or_else(|| refused(name, "there is no such map"))
}

pub(crate) fn refused(
    program: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Program { program, source: source.into() }
}
