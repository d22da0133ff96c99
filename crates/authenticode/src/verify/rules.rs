//! The rules, each with a word for scripts and a sentence for people.

/// What a broken rule says about the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Its bytes are not those that were signed: nothing else counts.
    Integrity,
    /// Its bytes are, but the signer is not to be believed.
    Trust,
    /// Worth knowing; decides nothing.
    Remark,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $kind:ident $word:literal $text:literal;)+) => {
        /// A rule of Authenticode that a file can break.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum Rule {
            $(#[doc = $text] $name,)+
            /// A rule of certificate paths.
            Chain(pkix::chain::Rule),
        }

        impl Rule {
            /// A word for scripts.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                    Self::Chain(rule) => rule.word(),
                }
            }

            /// A sentence part for people.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Chain(rule) => rule.text(),
                }
            }

            /// How grave it is.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)+
                    Self::Chain(_) => Kind::Trust,
                }
            }
        }
    };
}

rules! {
    Unsigned Trust "unsigned" "the file has no signature";
    Malformed Integrity "malformed" "a signature cannot be read";
    ImageDigest Integrity "image-digest" "the image is not the one that was signed";
    PageHashes Integrity "page-hashes" "the page hashes are not those of the image";
    Signature Integrity "signature" "the signature does not verify";
    SignerCount Integrity "signer-count" "a signature of Authenticode has exactly one signer";
    DigestMismatch Integrity "digest-algorithms" "the image's digest is of another algorithm than the signer's";
    NoAttributes Integrity "no-signed-attributes" "the signer signed no attributes";
    TrailingBytes Integrity "bytes-after-signature" "bytes stand behind the signature that nobody signed (CVE-2013-3900)";
    SignerCertificate Trust "signer-certificate" "the certificate of the signer is not at hand";
    Algorithm Trust "algorithm" "an algorithm or key size is not accepted";
    WeakDigest Trust "weak-digest" "the image is signed under SHA-1, where collisions can be made";
    Revoked Trust "revoked" "a certificate was revoked";
    RevocationKnown Remark "revocation-known" "a list or response speaks of a certificate";
    RevocationUnusable Remark "revocation-unusable" "a list or response about a certificate cannot be used";
    Timestamp Integrity "timestamp" "a timestamp does not verify";
    TimestampUntrusted Remark "timestamp-untrusted" "the timestamp's authority is not trusted, so it does not count";
    LifetimeSigning Remark "lifetime-signing" "the signer's signatures end with its certificate, timestamp or not";
    Checksum Remark "checksum" "the stored checksum is not that of the file";
    KernelChecksum Trust "kernel-checksum" "a driver needs a correct checksum";
    KernelDigest Trust "kernel-digest" "a driver needs a signature under SHA-256";
    KernelRoot Trust "kernel-root" "the path of a driver's signer ends at a root of Microsoft";
    NestedDeep Remark "nested-in-nested" "a nested signature nests another, which Windows does not look at";
}
