//! The artefact tree, its statement, and the comparison of two trees.
