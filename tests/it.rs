//! Tests against a real API server, as real users.
mod support;

mod attacks;
mod contract;
mod evidence;
mod identity;
mod kinds;
mod provider;
mod story;
