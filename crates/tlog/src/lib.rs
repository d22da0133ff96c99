//! Transparency-log trees: RFC 6962 hashing, C2SP tiles, checkpoints and proofs.
