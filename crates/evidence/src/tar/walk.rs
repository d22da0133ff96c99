//! From the first header to the end marker, in one pass over a stream.

use std::collections::HashMap;
use std::io::{self, Read};

use gm::DualDigest;
use gmdevice::Device;
use seal::{Entry, EntryPath, Format, MAX_PATH};

use super::BLOCK;
use super::header::Header;
use super::pax::{self, Pax};
use super::sparse::{Expanded, Map};
use crate::budget::Budget;
use crate::collector::Collector;
use crate::compressed;
use crate::content;
use crate::error::EvidenceError;
use crate::image::{Images, Watch};
use crate::options::Options;
use crate::tape::Tape;

/// Largest body of a pax header or a GNU long name that is read into memory.
const MAX_META: u64 = 1 << 20;

/// Walks the archive on `tape`; `size` is the container's.
pub(crate) fn walk<'a>(
    tape: &'a mut Tape<'_>,
    format: Format,
    options: &'a Options,
    size: u64,
    collector: &mut Collector<'_>,
) -> Result<(), EvidenceError> {
    let budget = Budget::new(options.limits, size);
    let decoder = match compressed::decoder(tape, format) {
        Ok(decoder) => decoder,
        Err(source) => return collector.broken(EvidenceError::Stream { format, source }),
    };
    let stream = Stream { inner: decoder, budget: &budget, position: 0 };
    let mut walker = Walker {
        stream,
        format,
        collector,
        global: Pax::default(),
        files: HashMap::new(),
        buffer: vec![0; content::CHUNK],
        images: options.images,
        device: options.sm3.as_deref(),
    };
    match walker.run() {
        Ok(()) => Ok(()),
        Err(error) => collector.broken(error),
    }
}

/// The unpacked bytes, counted.
struct Stream<'a> {
    inner: Box<dyn Read + 'a>,
    budget: &'a Budget,
    position: u64,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.budget.spend(count as u64).map_err(EvidenceError::into_io)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// What a hard link may point back to.
#[derive(Clone, Copy)]
struct Linkable {
    mode: u32,
    size: u64,
    digest: DualDigest,
}

struct Walker<'a, 'c, 's> {
    stream: Stream<'a>,
    format: Format,
    collector: &'c mut Collector<'s>,
    global: Pax,
    files: HashMap<EntryPath, Linkable>,
    buffer: Vec<u8>,
    images: Images,
    device: Option<&'a Device>,
}

/// What headers before an entry say of it.
#[derive(Default)]
struct Ahead {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    /// Where the first of them stands.
    start: Option<u64>,
}

impl Walker<'_, '_, '_> {
    fn run(&mut self) -> Result<(), EvidenceError> {
        let mut ahead = Ahead::default();
        loop {
            let start = self.stream.position;
            let Some(block) = self.block()? else {
                return Err(self.refused("it has no end marker: it is truncated"));
            };
            if block == [0; BLOCK] {
                return self.finish(&ahead);
            }
            let header = Header::parse(&block).map_err(|why| self.refused(why))?;
            ahead.start.get_or_insert(start);
            match header.kind {
                b'x' => {
                    let mut pax = self.global.clone();
                    pax.read(&self.meta(header.size)?).map_err(|why| self.refused(why))?;
                    ahead.pax = Some(pax);
                }
                b'g' => {
                    let body = self.meta(header.size)?;
                    self.global.read(&body).map_err(|why| self.refused(why))?;
                }
                b'L' => ahead.long_name = Some(self.long(header.size)?),
                b'K' => ahead.long_link = Some(self.long(header.size)?),
                _ => self.entry(header, std::mem::take(&mut ahead))?,
            }
        }
    }

    fn refused(&self, why: &'static str) -> EvidenceError {
        EvidenceError::Archive { format: self.format, why }
    }

    fn failed(&self, error: io::Error) -> EvidenceError {
        let format = self.format;
        EvidenceError::from_io(error, |source| EvidenceError::Stream { format, source })
    }

    /// The next block; `None` at the end of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, EvidenceError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.stream.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.refused("it is truncated")),
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        Ok(Some(block))
    }

    fn meta(&mut self, size: u64) -> Result<Vec<u8>, EvidenceError> {
        if size > MAX_META {
            return Err(self.refused("an extended header is longer than 1 MiB"));
        }
        let mut body = Vec::new();
        self.stream.by_ref().take(size).read_to_end(&mut body).map_err(|e| self.failed(e))?;
        if body.len() as u64 != size {
            return Err(self.refused("it is truncated"));
        }
        self.skip(padding(size))?;
        Ok(body)
    }

    fn long(&mut self, size: u64) -> Result<Vec<u8>, EvidenceError> {
        let mut body = self.meta(size)?;
        let end = body.iter().position(|b| *b == 0).unwrap_or(body.len());
        body.truncate(end);
        Ok(body)
    }

    fn skip(&mut self, count: u64) -> Result<(), EvidenceError> {
        let copied = io::copy(&mut self.stream.by_ref().take(count), &mut io::sink());
        match copied.map_err(|e| self.failed(e))? {
            skipped if skipped == count => Ok(()),
            _ => Err(self.refused("it is truncated")),
        }
    }

    fn entry(&mut self, header: Header, ahead: Ahead) -> Result<(), EvidenceError> {
        let start = ahead.start.unwrap_or(self.stream.position - BLOCK as u64);
        let mut pax = ahead.pax.unwrap_or_else(|| self.global.clone());
        let kind = Kind::of(&header).map_err(|why| self.refused(why))?;
        let size = if kind.has_content() { pax.size.unwrap_or(header.size) } else { 0 };
        let sparse = self.sparse(&header, pax.sparse.as_mut(), size)?;
        let sparse_name = pax.sparse.and_then(|sparse| sparse.name);
        let name = sparse_name.or(pax.path).or(ahead.long_name).unwrap_or(header.name);
        let link = pax.link.or(ahead.long_link).unwrap_or(header.link);
        let name = without_root(&name);
        if name.is_empty() && matches!(kind, Kind::Directory) {
            // `./`: the folder that was packed is not an entry of itself.
            return self.skip(size.next_multiple_of(BLOCK as u64));
        }
        let path = match entry_path(name) {
            Ok(path) => path,
            Err(error) => {
                let shown = std::str::from_utf8(name).map_or_else(|_| seal::escape(name), str::to_owned);
                self.collector.fault(&shown, error)?;
                return self.skip(padded(sparse.as_ref().map_or(size, Map::packed)));
            }
        };
        let found = match &sparse {
            Some(map) => self
                .hash_sparse(&path, map)
                .map(|digest| self.remember(&path, Linkable { mode: header.mode, size: map.size, digest })),
            None => self.content(&path, kind, header.mode, size, &link),
        };
        let end = start.max(self.stream.position);
        if self.format == Format::Tar {
            // Only here do positions in the stream mean bytes of the container.
            self.collector.place(&path, std::iter::once(start..end));
        }
        let broke = found.as_ref().is_err_and(|e| !matches!(e, EvidenceError::Entry { .. }));
        self.collector.take(path.as_str(), found)?;
        if broke { Err(self.refused("it breaks off inside an entry")) } else { Ok(()) }
    }

    /// The map of a sparse file, wherever it stands; what follows is then its packed content.
    fn sparse(
        &mut self,
        header: &Header,
        pax: Option<&mut pax::Sparse>,
        size: u64,
    ) -> Result<Option<Map>, EvidenceError> {
        let refused = |walker: &Self, why| walker.refused(why);
        let (map, packed) = match (&header.sparse, pax) {
            (Some((map, more)), None) => {
                let (mut map, mut more) = (map.clone(), *more);
                while more {
                    let block = self.block()?.ok_or_else(|| self.refused("it is truncated"))?;
                    more = map.extend(&block).map_err(|why| refused(self, why))?;
                }
                (map, size)
            }
            (None, Some(sparse)) => {
                let real = sparse.size.ok_or_else(|| self.refused("a sparse file has no size"))?;
                match sparse.map.take() {
                    Some(list) => (Map::of_list(&list, real).map_err(|why| self.refused(why))?, size),
                    None => {
                        let read = Map::read(&mut self.stream.by_ref().take(size), real);
                        let (map, blocks) =
                            read.map_err(|e| self.failed(e))?.map_err(|why| self.refused(why))?;
                        (map, size.saturating_sub(blocks * BLOCK as u64))
                    }
                }
            }
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(self.refused("a sparse file has two maps")),
        };
        if map.packed() != packed {
            return Err(self.refused("a sparse file has another size than its map"));
        }
        Ok(Some(map))
    }

    fn hash_sparse(&mut self, path: &EntryPath, map: &Map) -> Result<DualDigest, EvidenceError> {
        let failed =
            |e| EvidenceError::from_io(e, |source| EvidenceError::Decode { path: path.to_string(), source });
        let budget = self.stream.budget;
        let mut input = Expanded::new(self.stream.by_ref().take(map.packed()), map, budget);
        let (read, digest) = content::hash(&mut input, &mut self.buffer, self.device, |piece| {
            self.collector.content(path, piece)
        })
        .map_err(failed)?;
        if read != map.size {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.skip(padding(map.packed()))?;
        Ok(digest)
    }

    fn content(
        &mut self,
        path: &EntryPath,
        kind: Kind,
        mode: u32,
        size: u64,
        link: &[u8],
    ) -> Result<Entry, EvidenceError> {
        let wrong = |why| EvidenceError::entry(path.as_str(), why);
        match kind {
            Kind::Directory => Ok(Entry::directory(path.clone(), mode)),
            Kind::Special => Err(wrong("it is a special file")),
            Kind::Symlink => {
                let target = std::str::from_utf8(link).map_err(|_| wrong("its target is not UTF-8"))?;
                let fits = (1..=MAX_PATH).contains(&target.len());
                fits.then(|| Entry::symlink(path.clone(), target))
                    .ok_or_else(|| wrong("the target of a symbolic link has 1 to 4096 bytes"))
            }
            Kind::HardLink => {
                let target = entry_path(without_root(link)).ok();
                let known = target.and_then(|t| self.files.get_key_value(&t));
                let (target, known) =
                    known.ok_or_else(|| wrong("it is a hard link to something that is not before it"))?;
                let known = *known;
                self.collector.same_as(path, target)?;
                Ok(self.remember(path, known))
            }
            Kind::File => {
                let digest = self.hash(path, size)?;
                Ok(self.remember(path, Linkable { mode, size, digest }))
            }
        }
    }

    fn remember(&mut self, path: &EntryPath, file: Linkable) -> Entry {
        self.files.insert(path.clone(), file);
        Entry::file(path.clone(), file.mode, file.size, file.digest)
    }

    fn hash(&mut self, path: &EntryPath, size: u64) -> Result<DualDigest, EvidenceError> {
        let failed =
            |e| EvidenceError::from_io(e, |source| EvidenceError::Decode { path: path.to_string(), source });
        let mut input = self.stream.by_ref().take(size);
        let mut watch = Watch::new(self.images, size);
        let each = |piece: &[u8]| {
            watch.see(piece);
            self.collector.content(path, piece)
        };
        let (read, digest) =
            content::hash(&mut input, &mut self.buffer, self.device, each).map_err(failed)?;
        if read != size {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.collector.image(watch.image(path));
        self.skip(padding(size))?;
        Ok(digest)
    }

    /// After the first block of zeros: nothing else may follow, or another reader would find more than this one.
    fn finish(&mut self, ahead: &Ahead) -> Result<(), EvidenceError> {
        if ahead.start.is_some() {
            return Err(self.refused("it ends behind an extended header"));
        }
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if self.buffer[..count].iter().any(|b| *b != 0) => {
                    return Err(self.refused("something follows its end marker"));
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Special,
}

impl Kind {
    fn of(header: &Header) -> Result<Self, &'static str> {
        match header.kind {
            // V7 marks a directory by the name alone.
            b'0' | 0 if header.name.ends_with(b"/") => Ok(Self::Directory),
            b'0' | 0 | b'7' | b'S' => Ok(Self::File),
            b'1' => Ok(Self::HardLink),
            b'2' => Ok(Self::Symlink),
            b'5' => Ok(Self::Directory),
            b'3' | b'4' | b'6' => Ok(Self::Special),
            b'M' => Err("it is a part of a multi-volume archive"),
            _ => Err("it holds an entry of an unknown type"),
        }
    }

    fn has_content(self) -> bool {
        matches!(self, Self::File)
    }
}

/// tar names often start with `./`; it says nothing.
fn without_root(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    let name = if name == b"." { b"" } else { name };
    name.strip_suffix(b"/").unwrap_or(name)
}

fn entry_path(name: &[u8]) -> Result<EntryPath, EvidenceError> {
    let text = std::str::from_utf8(name).map_err(|_| EvidenceError::Name { name: seal::escape(name) })?;
    Ok(EntryPath::new(text)?)
}

fn padding(size: u64) -> u64 {
    padded(size) - size
}

fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64)
}
