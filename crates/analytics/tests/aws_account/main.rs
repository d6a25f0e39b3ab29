//! AWS: who holds what and who used what, on small accounts written out.
mod account;
mod agreement;
mod details;
mod found;
mod granted;
mod live;
mod properties;
mod random;
mod uses;
