//! Keys in files, and whom to trust.
