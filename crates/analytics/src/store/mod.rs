//! The usage store: a daily roll-up on disk.
