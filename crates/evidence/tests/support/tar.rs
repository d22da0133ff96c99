//! A tar writer that can lie.

#[derive(Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    /// One entry: header, content, padding.
    #[must_use]
    pub fn add(mut self, kind: u8, name: &str, link: &str, content: &[u8]) -> Self {
        self.0.extend(header(kind, name.as_bytes(), link.as_bytes(), content.len() as u64));
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    #[must_use]
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.add(b'0', name, "", content)
    }

    #[must_use]
    pub fn pax(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let body: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.add(kind, "pax", "", body.as_bytes())
    }

    /// The two blocks of zeros.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// `length key=value\n`, where the length counts itself.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

pub fn header(kind: u8, name: &[u8], link: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000755\0");
    block[108..124].copy_from_slice(b"0000000\x000000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    checksum(&mut block);
    block
}

pub fn checksum(block: &mut [u8; 512]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
