//! The least role for what an identity did.
