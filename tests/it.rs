//! Tests against a real API server, as real users.
mod support;

mod identity;
mod kinds;
mod provider;
mod story;
