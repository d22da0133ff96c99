//! Go executables: build information, function tables, hardening facts.
