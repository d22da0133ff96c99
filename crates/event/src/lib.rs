//! The compliance event: its schema, its catalogue of actions, its canonical form.
