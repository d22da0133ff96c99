//! Identifiers of Authenticode (Windows Authenticode Portable Executable Signature Format, version 1.0), and our own.

use pkix::Oid;

macro_rules! oids {
    ($($(#[$doc:meta])* $name:ident = [$($arc:literal),+];)+) => {
        $($(#[$doc])* pub const $name: Oid = Oid::new(&[$($arc),+]);)+
    };
}

oids! {
    /// The content that is signed: `SpcIndirectDataContent`.
    SPC_INDIRECT_DATA = [1, 3, 6, 1, 4, 1, 311, 2, 1, 4];
    /// `SpcSpAgencyInfo`; seen in old signatures.
    SPC_SP_AGENCY_INFO = [1, 3, 6, 1, 4, 1, 311, 2, 1, 10];
    /// `SpcStatementType`.
    SPC_STATEMENT_TYPE = [1, 3, 6, 1, 4, 1, 311, 2, 1, 11];
    /// `SpcSpOpusInfo`: program name and address.
    SPC_SP_OPUS_INFO = [1, 3, 6, 1, 4, 1, 311, 2, 1, 12];
    /// `SpcPeImageData`.
    SPC_PE_IMAGE_DATA = [1, 3, 6, 1, 4, 1, 311, 2, 1, 15];
    /// A signer who signs for itself, and not as an agent of others.
    SPC_INDIVIDUAL_SP_KEY_PURPOSE = [1, 3, 6, 1, 4, 1, 311, 2, 1, 21];
    /// A signer on behalf of a company.
    SPC_COMMERCIAL_SP_KEY_PURPOSE = [1, 3, 6, 1, 4, 1, 311, 2, 1, 22];
    /// Page hashes under SHA-1.
    SPC_PE_IMAGE_PAGE_HASHES_V1 = [1, 3, 6, 1, 4, 1, 311, 2, 3, 1];
    /// Page hashes under SHA-256.
    SPC_PE_IMAGE_PAGE_HASHES_V2 = [1, 3, 6, 1, 4, 1, 311, 2, 3, 2];
    /// A further signature, as an unsigned attribute of the first (`/as` of signtool).
    SPC_NESTED_SIGNATURE = [1, 3, 6, 1, 4, 1, 311, 2, 4, 1];
    /// The request of the timestamp protocol before RFC 3161.
    SPC_TIME_STAMP_REQUEST = [1, 3, 6, 1, 4, 1, 311, 3, 2, 1];
    /// An RFC 3161 token over the signature, as an unsigned attribute.
    SPC_RFC3161_TIMESTAMP = [1, 3, 6, 1, 4, 1, 311, 3, 3, 1];
    /// What a catalogue says of a file that is hashed byte for byte.
    SPC_CAB_DATA = [1, 3, 6, 1, 4, 1, 311, 2, 1, 25];
    /// What a catalogue says of a cabinet.
    SPC_LINK = [1, 3, 6, 1, 4, 1, 311, 2, 1, 28];
    /// The content of a catalogue: a certificate trust list (`szOID_CTL`).
    CTL = [1, 3, 6, 1, 4, 1, 311, 10, 1];
    /// The use of a list that makes it a catalogue (`szOID_CATALOG_LIST`).
    CATALOG_LIST = [1, 3, 6, 1, 4, 1, 311, 12, 1, 1];
    /// Members of version 1 (`szOID_CATALOG_LIST_MEMBER`).
    CATALOG_MEMBER = [1, 3, 6, 1, 4, 1, 311, 12, 1, 2];
    /// Members of version 2 (`szOID_CATALOG_LIST_MEMBER2`).
    CATALOG_MEMBER_2 = [1, 3, 6, 1, 4, 1, 311, 12, 1, 3];
    /// A name and its value, of a catalogue or a member (`CAT_NAMEVALUE_OBJID`).
    CATALOG_NAME_VALUE = [1, 3, 6, 1, 4, 1, 311, 12, 2, 1];
    /// How a member of version 1 is hashed (`CAT_MEMBERINFO_OBJID`).
    CATALOG_MEMBER_INFO = [1, 3, 6, 1, 4, 1, 311, 12, 2, 2];
    /// How a member of version 2 is hashed (`CAT_MEMBERINFO2_OBJID`).
    CATALOG_MEMBER_INFO_2 = [1, 3, 6, 1, 4, 1, 311, 12, 2, 3];
    /// Extended key usage of drivers that Microsoft's hardware portal signed.
    WINDOWS_HARDWARE_DRIVER = [1, 3, 6, 1, 4, 1, 311, 10, 3, 5];
    /// Extended key usage of certificates whose signatures end with them, timestamp or not.
    LIFETIME_SIGNING = [1, 3, 6, 1, 4, 1, 311, 10, 3, 13];
    /// Our own: the roots of the seal of the tree that the image stands in, as a signed attribute. UUID-based
    /// (ITU-T X.667) of 8b52cf4d-5c0e-4b0f-9a57-1f6c1f9a3d27; `docs/formats/authenticode.md` has its syntax.
    CUSTODY_SEAL_ROOTS = [2, 25, 185192664344349532023647553676086230311];
}
