//! Starts a program only if it is the one that was sealed, and keeps it.
