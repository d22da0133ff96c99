//! A file system in memory that remembers every operation, and from them builds what a crash may leave behind.
//!
//! The model is the contract at the head of `storage/mod.rs`: until the sync of a file, any subset of the 512-byte
//! sectors of its writes may be on disk; until the sync of a directory, any subset of its changes of names. A
//! rename is a new name and a lost name, each of its own directory.

#![expect(clippy::cast_possible_truncation, reason = "offsets of small files in memory")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Name, Site, Storage, Stored, parent};

const SECTOR: u64 = 512;
const ROOT: usize = 0;

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    Dir(BTreeMap<String, usize>),
}

/// What a file system was asked to do, or what the test wants remembered at this moment.
#[derive(Clone, Debug)]
enum Op {
    Empty {
        file: usize,
    },
    SetLength {
        file: usize,
        length: u64,
    },
    Write {
        file: usize,
        offset: u64,
        bytes: Vec<u8>,
    },
    SyncFile {
        file: usize,
    },
    /// A sync that failed: what was written before is taken for clean and never written again (Linux since 4.13).
    SyncFailed {
        node: usize,
    },
    Link {
        dir: usize,
        name: String,
        node: usize,
    },
    Unlink {
        dir: usize,
        name: String,
    },
    SyncDir {
        dir: usize,
    },
    Mark(Mark),
}

/// What the caller was told.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// Leaves below this index were acknowledged.
    Acknowledged(u64),
    /// This checkpoint was handed out.
    Published(Arc<crate::SignedCheckpoint>),
    /// Pruning was asked for, up to this index at most.
    Pruning(u64),
}

/// A failure to be answered instead of doing the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Syncs of this site fail with an input/output error.
    Sync(Site),
    /// Creations and reservations fail for want of space.
    Full,
    /// Writes of records fail half-way for want of space.
    FullMidway,
}

/// How one call fails, whatever it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failing {
    /// An input/output error.
    Error,
    /// No space.
    Full,
    /// A signal came, and the call was not tried again.
    Interrupted,
    /// Half of what was to be written, then an input/output error; of other calls, the error.
    Short,
}

impl Failing {
    pub(crate) const ALL: [Self; 4] = [Self::Error, Self::Full, Self::Interrupted, Self::Short];

    fn error(self) -> io::Error {
        match self {
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::Interrupted => io::ErrorKind::Interrupted.into(),
            Self::Error | Self::Short => io::Error::other("injected"),
        }
    }
}

#[derive(Clone)]
struct Disk {
    nodes: Vec<Node>,
}

struct Inner {
    /// What was there at the start, all of it durable.
    base: Disk,
    live: Disk,
    ops: Vec<Op>,
    disabled: Option<Site>,
    fault: Option<Fault>,
    /// Calls that change or sync something, so far; the one that fails, and how.
    calls: usize,
    failing: Option<(usize, Failing)>,
}

/// The simulated storage; clones are the same one.
#[derive(Clone)]
pub(crate) struct Sim(Arc<Mutex<Inner>>);

/// The smallest thing that a crash keeps or drops: an operation, or one sector of a write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Unit {
    op: usize,
    sector: u64,
}

impl Disk {
    fn empty() -> Self {
        Self { nodes: vec![Node::Dir(BTreeMap::new())] }
    }

    fn dir(&self, node: usize) -> io::Result<&BTreeMap<String, usize>> {
        match &self.nodes[node] {
            Node::Dir(names) => Ok(names),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn lookup(&self, path: &str) -> io::Result<usize> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(ROOT, |node, part| {
            self.dir(node)?.get(part).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn apply(&mut self, op: &Op, keeps: &dyn Fn(u64) -> bool) {
        match op {
            Op::Empty { file } => self.nodes[*file] = Node::File(Vec::new()),
            Op::SetLength { file, length } => {
                if let Node::File(content) = &mut self.nodes[*file] {
                    content.resize(*length as usize, 0);
                }
            }
            Op::Write { file, offset, bytes } => {
                for sector in sectors(*offset, bytes.len()).filter(|sector| keeps(*sector)) {
                    let from = offset.max(&(sector * SECTOR)) - offset;
                    let to = ((sector + 1) * SECTOR - offset).min(bytes.len() as u64);
                    self.grow(*file, offset + to);
                    let Node::File(content) = &mut self.nodes[*file] else {
                        unreachable!("writes are to files")
                    };
                    content[(offset + from) as usize..(offset + to) as usize]
                        .copy_from_slice(&bytes[from as usize..to as usize]);
                }
            }
            Op::Link { dir, name, node } => {
                if let Node::Dir(names) = &mut self.nodes[*dir] {
                    names.insert(name.clone(), *node);
                }
            }
            Op::Unlink { dir, name } => {
                if let Node::Dir(names) = &mut self.nodes[*dir] {
                    names.remove(name);
                }
            }
            Op::SyncFile { .. } | Op::SyncDir { .. } | Op::SyncFailed { .. } | Op::Mark(_) => {}
        }
    }

    fn grow(&mut self, file: usize, length: u64) {
        if let Node::File(content) = &mut self.nodes[file]
            && (content.len() as u64) < length
        {
            content.resize(length as usize, 0);
        }
    }
}

fn sectors(offset: u64, length: usize) -> std::ops::Range<u64> {
    offset / SECTOR..(offset + length as u64).div_ceil(SECTOR)
}

impl Inner {
    fn perform(&mut self, op: Op) {
        self.live.apply(&op, &|_| true);
        self.ops.push(op);
    }

    fn new_node(&mut self, node: Node) -> usize {
        let empty = match node {
            Node::File(_) => Node::File(Vec::new()),
            Node::Dir(_) => Node::Dir(BTreeMap::new()),
        };
        self.base.nodes.push(empty);
        self.live.nodes.push(node);
        self.live.nodes.len() - 1
    }

    fn link(&mut self, path: &str, node: usize) -> io::Result<()> {
        let dir = self.live.lookup(parent(path))?;
        self.live.dir(dir)?;
        self.perform(Op::Link { dir, name: base_name(path), node });
        Ok(())
    }

    fn unlink(&mut self, path: &str) -> io::Result<()> {
        let dir = self.live.lookup(parent(path))?;
        self.perform(Op::Unlink { dir, name: base_name(path) });
        Ok(())
    }

    /// Counts a call; the error when it is the one that fails.
    fn call(&mut self) -> Result<(), Failing> {
        self.calls += 1;
        match self.failing {
            Some((number, failing)) if number == self.calls => Err(failing),
            _ => Ok(()),
        }
    }

    fn check_sync(&mut self, site: Site, node: usize) -> io::Result<bool> {
        if let Err(failing) = self.call() {
            self.perform(Op::SyncFailed { node });
            return Err(failing.error());
        }
        if self.fault == Some(Fault::Sync(site)) {
            self.perform(Op::SyncFailed { node });
            return Err(io::Error::other("injected"));
        }
        Ok(self.disabled != Some(site))
    }

    /// Operations before `point` that no sync has made durable, in units.
    fn volatile(&self, point: usize) -> Vec<Unit> {
        // Backwards: what matters to an operation is the next sync of its file or directory, if any.
        let mut durable = vec![false; self.live.nodes.len()];
        let mut units = Vec::new();
        for (at, op) in self.ops[..point].iter().enumerate().rev() {
            match op {
                Op::SyncFile { file: node } | Op::SyncDir { dir: node } => durable[*node] = true,
                Op::SyncFailed { node } => durable[*node] = false,
                Op::Write { file, offset, bytes } if !durable[*file] => {
                    units.extend(sectors(*offset, bytes.len()).rev().map(|sector| Unit { op: at, sector }));
                }
                Op::Empty { file: node } | Op::SetLength { file: node, .. } if !durable[*node] => {
                    units.push(Unit { op: at, sector: 0 });
                }
                Op::Link { dir, .. } | Op::Unlink { dir, .. } if !durable[*dir] => {
                    units.push(Unit { op: at, sector: 0 });
                }
                _ => {}
            }
        }
        units.reverse();
        units
    }
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

impl Sim {
    pub(crate) fn new() -> Self {
        Self::on(Disk::empty())
    }

    fn on(disk: Disk) -> Self {
        let inner = Inner {
            base: disk.clone(),
            live: disk,
            ops: Vec::new(),
            disabled: None,
            fault: None,
            calls: 0,
            failing: None,
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Makes every sync of one site do nothing.
    pub(crate) fn disable(&self, site: Option<Site>) {
        self.inner().disabled = site;
    }

    pub(crate) fn disabled(&self) -> Option<Site> {
        self.inner().disabled
    }

    /// Takes back everything after `point`, as if the process had been killed there.
    pub(crate) fn cut(&self, point: usize) {
        let killed = self.kill(point);
        let mut inner = self.inner();
        inner.live = killed.inner().live.clone();
        inner.ops.truncate(point);
    }

    pub(crate) fn inject(&self, fault: Option<Fault>) {
        self.inner().fault = fault;
    }

    /// Has one call fail, by its number from 1 on.
    pub(crate) fn fail_call(&self, number: usize, failing: Failing) {
        let mut inner = self.inner();
        (inner.calls, inner.failing) = (0, Some((number, failing)));
    }

    /// Calls that changed or synced something.
    pub(crate) fn calls(&self) -> usize {
        self.inner().calls
    }

    pub(crate) fn mark(&self, mark: Mark) {
        self.inner().ops.push(Op::Mark(mark));
    }

    /// Number of operations so far: a crash can come before each of them and after the last.
    pub(crate) fn points(&self) -> usize {
        self.inner().ops.len()
    }

    /// What the callers had been told before `point`.
    pub(crate) fn marks(&self, point: usize) -> Vec<Mark> {
        let inner = self.inner();
        let marks = inner.ops[..point].iter();
        marks.filter_map(|op| if let Op::Mark(mark) = op { Some(mark.clone()) } else { None }).collect()
    }

    /// What a crash at `point` may drop.
    pub(crate) fn volatile(&self, point: usize) -> Vec<Unit> {
        self.inner().volatile(point)
    }

    /// The disk after a crash at `point` that kept the given units of what was volatile.
    pub(crate) fn crash(&self, point: usize, kept: &[Unit]) -> Self {
        let inner = self.inner();
        let volatile = inner.volatile(point);
        let lost: std::collections::BTreeSet<Unit> =
            volatile.into_iter().filter(|unit| !kept.contains(unit)).collect();
        let mut disk = inner.base.clone();
        for (at, op) in inner.ops[..point].iter().enumerate() {
            let keeps = |sector: u64| !lost.contains(&Unit { op: at, sector });
            if matches!(op, Op::Write { .. }) || keeps(0) {
                disk.apply(op, &keeps);
            }
        }
        Self::on(disk)
    }

    /// The file system after the process was killed at `point`: nothing is lost, and nothing became durable.
    pub(crate) fn kill(&self, point: usize) -> Self {
        let inner = self.inner();
        let mut live = inner.base.clone();
        for op in &inner.ops[..point] {
            live.apply(op, &|_| true);
        }
        let ops = inner.ops[..point].to_vec();
        let again = Inner {
            base: inner.base.clone(),
            live,
            ops,
            disabled: inner.disabled,
            fault: None,
            calls: 0,
            failing: None,
        };
        Self(Arc::new(Mutex::new(again)))
    }

    /// Changes one byte of a file behind everyone's back.
    pub(crate) fn corrupt(&self, path: &str, at: usize) {
        let mut inner = self.inner();
        let node = inner.live.lookup(path).unwrap();
        let Node::File(content) = &mut inner.live.nodes[node] else { panic!("{path} is a directory") };
        content[at] ^= 1;
    }
}

struct SimFile {
    sim: Sim,
    file: usize,
}

impl Stored for SimFile {
    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut inner = self.sim.inner();
        inner.call().map_err(Failing::error)?;
        inner.perform(Op::SetLength { file: self.file, length });
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.sim.inner();
        if let Err(failing) = inner.call() {
            if failing == Failing::Short {
                let bytes = bytes[..bytes.len() / 2].to_vec();
                inner.perform(Op::Write { file: self.file, offset, bytes });
            }
            return Err(failing.error());
        }
        if inner.fault == Some(Fault::FullMidway) {
            let bytes = bytes[..bytes.len() / 2].to_vec();
            inner.perform(Op::Write { file: self.file, offset, bytes });
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.perform(Op::Write { file: self.file, offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&self, site: Site) -> io::Result<()> {
        let mut inner = self.sim.inner();
        if inner.check_sync(site, self.file)? {
            inner.perform(Op::SyncFile { file: self.file });
        }
        Ok(())
    }
}

impl Storage for Sim {
    fn list(&self, dir: &str) -> io::Result<Vec<Name>> {
        let inner = self.inner();
        let names = inner.live.dir(inner.live.lookup(dir)?)?;
        let is_dir = |node: usize| matches!(inner.live.nodes[node], Node::Dir(_));
        Ok(names.iter().map(|(name, node)| Name { name: name.clone(), is_dir: is_dir(*node) }).collect())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let inner = self.inner();
        match &inner.live.nodes[inner.live.lookup(path)?] {
            Node::File(content) => Ok(content.clone()),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn Stored>> {
        let mut inner = self.inner();
        inner.call().map_err(Failing::error)?;
        if inner.fault == Some(Fault::Full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = match inner.live.lookup(path) {
            Ok(file) => {
                inner.perform(Op::Empty { file });
                file
            }
            Err(_) => {
                let file = inner.new_node(Node::File(Vec::new()));
                inner.link(path, file)?;
                file
            }
        };
        Ok(Box::new(SimFile { sim: self.clone(), file }))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Stored>> {
        let mut inner = self.inner();
        inner.call().map_err(Failing::error)?;
        let file = inner.live.lookup(path)?;
        Ok(Box::new(SimFile { sim: self.clone(), file }))
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        self.read(path).map(|content| content.len() as u64)
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let content = self.read(path)?;
        let from = (offset as usize).min(content.len());
        Ok(content[from..content.len().min(from.saturating_add(length))].to_vec())
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call().map_err(Failing::error)?;
        if inner.live.lookup(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let dir = inner.new_node(Node::Dir(BTreeMap::new()));
        inner.link(path, dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call().map_err(Failing::error)?;
        let node = inner.live.lookup(from)?;
        inner.link(to, node)?;
        inner.unlink(from)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call().map_err(Failing::error)?;
        inner.live.lookup(path)?;
        inner.unlink(path)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        let mut inner = self.inner();
        inner.call().map_err(Failing::error)?;
        let node = inner.live.lookup(path)?;
        if !inner.live.dir(node)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        inner.unlink(path)
    }

    fn sync_dir(&self, site: Site, path: &str) -> io::Result<()> {
        let mut inner = self.inner();
        let dir = inner.live.lookup(path)?;
        if inner.check_sync(site, dir)? {
            inner.perform(Op::SyncDir { dir });
        }
        Ok(())
    }

    fn protect(&self, _: &str, _: bool) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
