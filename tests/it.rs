//! Tests against a real API server, as real users.
mod attacks;
mod contract;
mod evidence;
mod identity;
mod kinds;
mod provider;
mod shared;
mod story;
