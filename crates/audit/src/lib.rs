//! From an event offered to an event proved: admission, sequencing, query, verification.
