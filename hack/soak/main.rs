//! `make soak`: the previous commit's operator beside this one, both ways, with live grants. Nothing ends early or late.
//!
//! Two directions run side by side, each on a control plane of its own: `upgrade` begins with the previous version, `rollback`
//! with the new one. `rollout.rs` has the steps, `access.rs` what the people see who hold access, `ledger.rs` what the API server
//! shows. Both versions run with the pauses that are shipped: how long a takeover lasts, and by how much a follower revokes later,
//! is part of what is checked.
//!
//! `hack/soak/run` builds both operators and sets the environment: `PREVIOUS_BIN` and `NEW_BIN` are the operators, `PREVIOUS_TREE`
//! and `NEW_TREE` directories with their `crds/` and `deploy/`; `ROUNDS` and `SEED` are optional. The exit code is 0 only if both
//! directions have succeeded. With `RELEASE`, which `make upgrade-test` sets, the run is that of `release.rs` instead, which upgrades and
//! rolls back with helm.
mod access;
mod ledger;
mod release;
mod rollout;
mod version;

use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use rollout::Outcome;
use std::{path::PathBuf, process::ExitCode, time::Instant};
use version::Version;

const DIRECTIONS: [&str; 2] = ["upgrade", "rollback"];
const ROUNDS: u64 = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match soak().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn soak() -> Result<()> {
    let begun = Instant::now();
    let previous = Version { name: "previous", binary: path("PREVIOUS_BIN")?, tree: path("PREVIOUS_TREE")? };
    let new = Version { name: "new", binary: path("NEW_BIN")?, tree: path("NEW_TREE")? };
    if std::env::var_os("RELEASE").is_some() {
        return upgrade(&previous, &new).await;
    }
    let rounds = number("ROUNDS")?.unwrap_or(ROUNDS);
    ensure!(rounds > 0, "ROUNDS is at least 1");
    let seed = number("SEED")?.unwrap_or(now().as_millis().unsigned_abs());
    println!("{rounds} rounds in each direction, SEED={seed}");
    if !previous.has_policies_of(&new)? {
        println!("policies or CRDs differ: under the manifests of the other version an operator grants nothing, and revokes");
    }
    let (upgrade, rollback) = tokio::join!(
        rollout::run(DIRECTIONS[0], [&previous, &new], rounds, seed),
        // Another sequence of the same seed.
        rollout::run(DIRECTIONS[1], [&new, &previous], rounds, !seed),
    );
    let mut failed = Vec::new();
    for (name, outcome) in DIRECTIONS.iter().zip([upgrade, rollback]) {
        match outcome {
            Ok(outcome) => report(name, &outcome),
            Err(error) => {
                println!("FAILED   {error:#}");
                failed.push(*name);
            }
        }
    }
    println!("{:.0} s, SEED={seed}", begun.elapsed().as_secs_f32());
    ensure!(failed.is_empty(), "{} failed", failed.join(" and "));
    println!("Nothing ended early or late.");
    Ok(())
}

/// The release, upgraded and rolled back by helm.
async fn upgrade(previous: &Version, new: &Version) -> Result<()> {
    let begun = Instant::now();
    if !previous.has_policies_of(new)? {
        println!("policies or CRDs differ: until all parts are of one version nothing is granted");
    }
    let outcome = release::run(previous, new).await?;
    report("release", &outcome);
    println!("{:.0} s", begun.elapsed().as_secs_f32());
    println!("Nothing ended early or late.");
    Ok(())
}

/// Prints the figures of a direction.
fn report(name: &str, o: &Outcome) {
    println!("ok       {name}: {} grants, up to {} at the same time", o.grants.0, o.grants.1);
    if o.takeovers.0 > 0 {
        println!("         {} takeovers, {} ms at most from a kill until the other granted", o.takeovers.0, o.takeovers.1);
    }
    println!("         ended at most {} ms after the deadline, {} of them at most {} ms after a Revoke", o.late, o.revoked.0, o.revoked.1);
    println!("         {} reads of the secret, at most {} ms apart", o.reads.0, o.reads.1);
}

/// The local time. The API server and both operators run on this machine and use the same clock.
fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn path(variable: &str) -> Result<PathBuf> {
    let value = std::env::var_os(variable).with_context(|| format!("{variable} is not set; start hack/soak/run"))?;
    Ok(PathBuf::from(value))
}

fn number(variable: &str) -> Result<Option<u64>> {
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("{variable}={text} is not a number"))
}
