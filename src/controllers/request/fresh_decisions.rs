//! The decisions about a request that is approved, as they were after its last commit, without a list that grows with the namespace.
//!
//! The verdict on an approval has to be written in any case. It is written after the commit, and the events of one watch arrive in the
//! order of the writes: once the stores show that verdict, they show every decision that was created before the commit.
use super::known::Known;
use crate::{
    api::AccessDecision,
    controllers::{
        Context,
        decision::{
            self,
            status::{RequestRef, Verdict},
        },
        dereference,
    },
    runtime::{changes, stores::Key},
};
use curfew_core::{approval::Counted, request::State};
use std::{sync::Arc, time::Duration};

/// How long the watch of decisions may lag behind; after that they are listed.
const LAG: Duration = Duration::from_secs(1);

/// The decisions, if an approval can be marked that has no verdict yet. `None` if they must be listed.
pub async fn since_commit(ctx: &Context, key: &Key, known: &Known) -> Option<Vec<Arc<AccessDecision>>> {
    if known.request.status.state != State::Activating {
        return None;
    }
    let mut open = known.verdicts().filter(|(decision, counted, _)| *counted == Counted::Yes && !decision::is_settled(decision));
    let (approval, counted, why) = open.next()?;
    let request = RequestRef { name: &key.1, uid: &known.request.uid };
    let marked = decision::status::publish(ctx, approval, Verdict { counted, why }, Some(request)).await;
    let version = marked.ok().flatten()?;
    let shown = ctx.stores.shows_decision(&changes::key(approval), &version, LAG).await;
    shown.then(|| dereference::decisions_to_tally(&ctx.stores, key))
}
