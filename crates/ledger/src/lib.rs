//! Durable sequencing of leaves: write-ahead log, tiles, checkpoints, recovery.
