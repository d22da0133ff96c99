//! Hashes directories and archives without unpacking them.
