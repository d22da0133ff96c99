//! A ZIP writer that can lie.

use std::io::Write as _;

#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub data: Vec<u8>,
    pub method: u16,
    pub mode: u32,
    pub flags: u16,
    /// Signature, and 64-bit sizes.
    pub descriptor: Option<(bool, bool)>,
    pub zip64: bool,
    /// Changes the finished local header.
    pub local: fn(&mut Vec<u8>),
    /// Changes the finished central record.
    pub central: fn(&mut Vec<u8>),
    /// Changes the finished data descriptor.
    pub behind: fn(&mut Vec<u8>),
}

pub fn stored(name: &str, data: &[u8]) -> Entry {
    Entry {
        name: name.into(),
        data: data.into(),
        method: 0,
        mode: 0o100_644,
        flags: 0,
        descriptor: None,
        zip64: false,
        local: |_| {},
        central: |_| {},
        behind: |_| {},
    }
}

pub fn deflated(name: &str, data: &[u8]) -> Entry {
    Entry { method: 8, ..stored(name, data) }
}

#[derive(Default)]
pub struct Archive {
    pub entries: Vec<Entry>,
    pub before: Vec<u8>,
    pub comment: Vec<u8>,
    pub zip64_end: bool,
}

pub fn archive(entries: impl Into<Vec<Entry>>) -> Vec<u8> {
    Archive { entries: entries.into(), ..Archive::default() }.build()
}

impl Entry {
    pub fn compressed(&self) -> Vec<u8> {
        if self.method != 8 {
            return self.data.clone();
        }
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&self.data).unwrap();
        encoder.finish().unwrap()
    }

    fn header(&self, out: &mut Vec<u8>, sizes: [u64; 2], crc: u32, zip64: bool) {
        out.extend((self.flags | if self.descriptor.is_some() { 8 } else { 0 }).to_le_bytes());
        out.extend(self.method.to_le_bytes());
        out.extend([0x21, 0x00, 0x21, 0x50]); // 2020-01-01 00:01:02
        out.extend(crc.to_le_bytes());
        for size in sizes {
            out.extend(if zip64 { [0xff; 4] } else { u32::try_from(size).unwrap().to_le_bytes() });
        }
        out.extend(u16::try_from(self.name.len()).unwrap().to_le_bytes());
    }

    fn local(&self, data: &[u8]) -> Vec<u8> {
        let blank = self.descriptor.is_some();
        let crc = if blank { 0 } else { crc32fast::hash(&self.data) };
        let sizes = if blank { [0, 0] } else { [data.len() as u64, self.data.len() as u64] };
        let mut out = b"PK\x03\x04\x2d\x00".to_vec();
        self.header(&mut out, sizes, crc, self.zip64);
        let extra = if self.zip64 { zip64_extra(&[sizes[1], sizes[0]]) } else { Vec::new() };
        out.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        out.extend(&self.name);
        out.extend(extra);
        (self.local)(&mut out);
        out.extend(data);
        out.extend(self.behind(data));
        out
    }

    fn behind(&self, data: &[u8]) -> Vec<u8> {
        let Some((signed, wide)) = self.descriptor else { return Vec::new() };
        let mut out = if signed { b"PK\x07\x08".to_vec() } else { Vec::new() };
        out.extend(crc32fast::hash(&self.data).to_le_bytes());
        for size in [data.len() as u64, self.data.len() as u64] {
            out.extend(&size.to_le_bytes()[..if wide { 8 } else { 4 }]);
        }
        (self.behind)(&mut out);
        out
    }

    fn central(&self, data: &[u8], offset: u64) -> Vec<u8> {
        let sizes = [data.len() as u64, self.data.len() as u64];
        let mut out = b"PK\x01\x02\x2d\x03\x2d\x00".to_vec(); // made on Unix
        self.header(&mut out, sizes, crc32fast::hash(&self.data), self.zip64);
        let extra = if self.zip64 { zip64_extra(&[sizes[1], sizes[0], offset]) } else { Vec::new() };
        out.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        out.extend([0; 6]);
        out.extend((self.mode << 16).to_le_bytes());
        let short = if self.zip64 { u32::MAX } else { u32::try_from(offset).unwrap() };
        out.extend(short.to_le_bytes());
        out.extend(&self.name);
        out.extend(extra);
        (self.central)(&mut out);
        out
    }
}

pub fn zip64_extra(values: &[u64]) -> Vec<u8> {
    let mut out = vec![1, 0];
    out.extend(u16::try_from(values.len() * 8).unwrap().to_le_bytes());
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
    out
}

impl Archive {
    pub fn build(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut directory = Vec::new();
        for entry in &self.entries {
            let data = entry.compressed();
            directory.extend(entry.central(&data, body.len() as u64));
            body.extend(entry.local(&data));
        }
        let (offset, size) = (body.len() as u64, directory.len() as u64);
        let mut out = [self.before.clone(), body, directory].concat();
        out.extend(self.end(offset, size));
        out
    }

    fn end(&self, offset: u64, size: u64) -> Vec<u8> {
        let count = self.entries.len() as u64;
        let mut out = Vec::new();
        if self.zip64_end {
            out.extend(b"PK\x06\x06");
            out.extend(44u64.to_le_bytes());
            out.extend([0x2d, 3, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            [count, count, size, offset].iter().for_each(|v| out.extend(v.to_le_bytes()));
            out.extend(b"PK\x06\x07\0\0\0\0");
            out.extend((self.before.len() as u64 + offset + size).to_le_bytes());
            out.extend(1u32.to_le_bytes());
        }
        let short = |v: u64| if self.zip64_end { u32::MAX } else { u32::try_from(v).unwrap() };
        let count = if self.zip64_end { u16::MAX } else { u16::try_from(count).unwrap() };
        out.extend(b"PK\x05\x06\0\0\0\0");
        [count, count].iter().for_each(|v| out.extend(v.to_le_bytes()));
        [short(size), short(offset)].iter().for_each(|v| out.extend(v.to_le_bytes()));
        out.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
        out.extend(&self.comment);
        out
    }
}
