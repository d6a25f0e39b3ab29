//! PCI-1 over compact sets: many identities at once, with the same results as [`crate::score`].
