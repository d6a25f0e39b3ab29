//! Tests against a real API server, as real users.
mod attacks;
mod audit;
mod contract;
mod identity;
mod kinds;
mod provider;
mod shared;
mod story;
mod versions;
