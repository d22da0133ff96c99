//! The policy's rule options: one bit each in the compiled header, one phrase each in the XML.

/// Phrase in the XML and bit in the header, in the order in which policies list them.
const TABLE: &[(&str, u32)] = &[
    ("Enabled:UMCI", 0x4),
    ("Enabled:Boot Menu Protection", 0x8),
    ("Required:WHQL", 0x80),
    ("Enabled:Audit Mode", 0x1_0000),
    ("Disabled:Flight Signing", 0x2_0000),
    ("Enabled:Inherit Default Policy", 0x4_0000),
    ("Enabled:Unsigned System Integrity Policy", 0x8_0000),
    ("Required:EV Signers", 0x20_0000),
    ("Enabled:Advanced Boot Options Menu", 0x80_0000),
    ("Enabled:Boot Audit On Failure", 0x40_0000),
    ("Disabled:Script Enforcement", 0x100_0000),
    ("Required:Enforce Store Applications", 0x200_0000),
    ("Enabled:Managed Installer", 0x800_0000),
    ("Enabled:Intelligent Security Graph Authorization", 0x10),
    ("Enabled:Invalidate EAs on Reboot", 0x20),
    ("Enabled:Update Policy No Reboot", 0x1000_0000),
    ("Enabled:Allow Supplemental Policies", 0x400),
    ("Disabled:Runtime FilePath Rule Protection", 0x800),
    ("Enabled:Dynamic Code Security", 0x10_0000),
    ("Enabled:Revoked Expired As Unsigned", 0x2000),
    ("Enabled:Developer Mode Dynamic Code Trust", 0x100),
    ("Enabled:Secure Setting Policy", 0x400_0000),
    ("Enabled:Conditional Windows Lockdown Policy", 0x2000_0000),
];

/// Set in every header.
pub(crate) const ALWAYS: u32 = 0x8000_0000;
/// Set in the header of a supplemental policy.
pub(crate) const SUPPLEMENTAL: u32 = 0x4000_0000;

/// The options of a policy, as the compiled header has them, without its two marks ([`ALWAYS`], [`SUPPLEMENTAL`]).
/// The order is the one of the XML: it has no meaning, and is kept so that a file prints as it was read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Options {
    bits: u32,
    order: Vec<u32>,
}

impl Options {
    pub(crate) fn from_bits(bits: u32) -> Self {
        let bits = bits & !(ALWAYS | SUPPLEMENTAL);
        let known = TABLE.iter().map(|(_, bit)| *bit).filter(|bit| bits & bit != 0).collect();
        Self { bits, order: known }
    }

    /// The bits of the compiled header.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// Bits that no phrase of the XML stands for.
    #[must_use]
    pub fn unnamed(&self) -> u32 {
        TABLE.iter().fold(self.bits, |bits, (_, bit)| bits & !bit)
    }

    /// Adds the option that the XML calls `name`; in any case, as Windows' own compiler takes it.
    ///
    /// # Errors
    /// The phrase, when there is no such option.
    pub fn insert<'a>(&mut self, name: &'a str) -> Result<(), &'a str> {
        let known = TABLE.iter().find(|(phrase, _)| phrase.eq_ignore_ascii_case(name.trim()));
        let (_, bit) = known.ok_or(name)?;
        if self.bits & bit == 0 {
            self.bits |= bit;
            self.order.push(*bit);
        }
        Ok(())
    }

    /// Takes an option away.
    pub fn remove(&mut self, name: &str) {
        if let Some((_, bit)) = TABLE.iter().find(|(phrase, _)| phrase.eq_ignore_ascii_case(name)) {
            self.bits &= !bit;
            self.order.retain(|kept| kept != bit);
        }
    }

    /// Whether the option is set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        TABLE.iter().any(|(phrase, bit)| *phrase == name && self.bits & bit != 0)
    }

    /// The phrases of the options that are set.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        let name = |bit: &u32| TABLE.iter().find(|(_, known)| known == bit).map(|(phrase, _)| *phrase);
        self.order.iter().filter_map(name)
    }
}

/// Every option there is, by its phrase.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(phrase, _)| *phrase)
}
