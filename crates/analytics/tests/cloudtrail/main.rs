//! CloudTrail: who used what, from records written out.
mod broken;
mod callers;
mod log;
mod names;
mod oracle;
mod recorded;
mod replay;
mod resources;
