//! What other stories rest on: who looks on while access must stay, or stay away, sees a gap of a moment.
use crate::shared::without_operator;
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, User, World};
use std::time::{Duration, SystemTime};

const CREATE: [&str; 5] = ["create", "rolebinding", "-n", "payments", "--clusterrole=payments-admin"];

async fn bind(w: &World, who: &User) -> Result<()> {
    let (name, user) = (short(who), format!("--user={}", who.name));
    w.admin()?.api(&[&CREATE[..4], &[name, CREATE[4], &user]].concat()).await?.success().map(drop)
}

async fn unbind(w: &World, who: &User) -> Result<()> {
    w.admin()?.api(&["delete", "rolebinding", "-n", "payments", short(who)]).await?.success().map(drop)
}

fn short(who: &User) -> &str {
    who.name.split('@').next().unwrap_or_default()
}

/// Looks on until something is found, while the binding changes to the wrong state and back again and again.
async fn found(w: &World, who: &User, allowed: bool) -> Result<String> {
    let flicker = async {
        loop {
            if allowed {
                unbind(w, who).await?;
                bind(w, who).await?;
            } else {
                bind(w, who).await?;
                unbind(w, who).await?;
            }
            // The changes are rare, so that one that is missed is not made up for by the next.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let seen = tokio::select! {
        seen = w.access_stays(who, &who.name, allowed, SystemTime::now() + SOON) => seen,
        failed = flicker => return failed,
    };
    ensure!(seen.is_err(), "nothing was found although the binding was {}", if allowed { "deleted" } else { "created" });
    Ok(seen.unwrap_err().to_string())
}

#[tokio::test]
async fn a_gap_or_an_access_of_a_moment_is_found() -> Result<()> {
    let w = without_operator().await?;
    let (held, kept_out) = (w.cp.user("wanda@example.com", &[])?, w.cp.user("wim@example.com", &[])?);
    bind(w, &held).await?;
    w.access_is(&held, true, SOON).await?;
    // Without a change there is nothing to find.
    w.access_stays(&held, &held.name, true, SystemTime::now() + Duration::from_secs(1)).await?;
    w.access_stays(&kept_out, &kept_out.name, false, SystemTime::now() + Duration::from_secs(1)).await?;
    let gap = found(w, &held, true).await?;
    ensure!(gap.contains("must be true"), "{gap}");
    let moment = found(w, &kept_out, false).await?;
    ensure!(moment.contains("must be false"), "{moment}");
    Ok(())
}
