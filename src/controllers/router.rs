//! What has changed → who must look again. The trigger matrix of the operator, in one place.
use crate::timing::timing;
use super::{Context, convert, grant::GrantController, request::decisions};
use crate::{
    api::request::RequestState,
    runtime::{
        engine::WorkQueue,
        stores::{Change, Key},
    },
};
use curfew_core::grant::State;
use kube::ResourceExt;
use std::sync::Arc;
use tokio::sync::mpsc;


/// The engines' inboxes.
pub struct Router {
    /// What every controller is given.
    pub ctx: Arc<Context>,
    /// Where doubts are put.
    pub grant_controller: Arc<GrantController>,
    /// Requests.
    pub requests: WorkQueue<Key>,
    /// Grants.
    pub grants: WorkQueue<String>,
    /// Systems, policies, roles, assignments.
    pub readiness: WorkQueue<()>,
}

impl Router {
    /// Routes for ever.
    pub async fn run(self, mut changes: mpsc::UnboundedReceiver<Change>) {
        let mut authority = self.ctx.authority.changes();
        let mut again = tokio::time::interval(timing().heartbeat);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.route(change),
                    None => return,
                },
                // What no watch of ours brings: the content of roles in clusters that are reached from outside.
                _ = again.tick() => self.live_requests(),
                // Lease, gate or sync: what waited for a permit may go on now.
                changed = authority.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.everything(false);
                }
            }
        }
    }

    fn route(&self, change: Change) {
        match change {
            Change::Request(key) => {
                self.requests.push(key);
                self.readiness.push(());
            }
            Change::RequestGone(key) => {
                for g in self.ctx.stores.grants.state_filter(|g| g.spec.request.namespace == key.0 && g.spec.request.name == key.1) {
                    self.grant_controller.verify_owner(&g.name_any());
                    self.grants.push(g.name_any());
                }
            }
            Change::Decision((ns, name), about, grant) => {
                if let Some(id) = grant {
                    self.grants.push(id);
                }
                let known = about.as_ref().is_some_and(|r| {
                    self.ctx.stores.requests.find(|x| x.namespace().as_deref() == Some(&ns) && x.name_any() == *r).is_some()
                });
                match about {
                    Some(request) if known => self.requests.push((ns, request)),
                    Some(_) | None => {
                        // Whoever routes must not wait for one slow answer.
                        let ctx = self.ctx.clone();
                        tokio::spawn(async move {
                            if let Err(e) = decisions::settle_without_subject(&ctx, &(ns, name)).await {
                                tracing::info!(error = %e, "cannot judge a decision");
                            }
                        });
                    }
                }
            }
            Change::Grant(id, request) => {
                self.grants.push(id);
                self.requests.push(request);
                self.readiness.push(());
            }
            Change::Marked(id) => self.grants.push(id),
            Change::PolicyInputs => {
                self.readiness.push(());
                self.live_requests();
            }
            Change::Resync => self.everything(true),
        }
    }

    /// Everything that is not over is looked at again; with `doubt`, Grants ask for their requests.
    fn everything(&self, doubt: bool) {
        for g in self.ctx.stores.grants.state() {
            if doubt && !matches!(convert::grant_state(&g), State::Ended | State::Abandoned) {
                self.grant_controller.verify_owner(&g.name_any());
            }
            self.grants.push(g.name_any());
        }
        for r in self.ctx.stores.requests.state() {
            self.requests.push((r.namespace().unwrap_or_default(), r.name_any()));
        }
        self.readiness.push(());
    }

    fn live_requests(&self) {
        let live =
            self.ctx.stores.requests.state_filter(|r| r.status.as_ref().and_then(|s| s.state).and_then(RequestState::outcome).is_none());
        for r in live {
            self.requests.push((r.namespace().unwrap_or_default(), r.name_any()));
        }
    }
}
