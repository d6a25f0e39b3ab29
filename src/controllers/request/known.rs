//! What one reconcile of a request knows: dereferenced once, tallied once, and kept current by its own effects.
use crate::{
    api::{AccessDecision, ActivationRequest, Grant, request::ExtendedBy},
    audit::CountedDecision,
    controllers::{Context, convert, dereference::Dereferenced},
    runtime::changes,
};
use curfew_core::{
    approval::{Counted, Tally},
    conditions::evidence::evidence,
    reconcile::View,
    request::{Request, State, explain_decision, tally_decisions},
    verdict::{self, RequestProgress, VerdictFacts},
};
use std::sync::Arc;

/// The knowledge of one reconcile.
#[derive(Clone)]
pub struct Known {
    /// The request as it was read or stored last.
    pub object: ActivationRequest,
    /// Its Grant.
    pub grant: Option<Arc<Grant>>,
    /// The decisions about it, in the order of `view.decisions`.
    pub decisions: Vec<Arc<AccessDecision>>,
    /// The same as the rules read it.
    pub view: View,
    /// The request of `view`.
    pub request: Request,
    /// The tally of the decisions against what the request froze.
    pub tally: Arc<Tally>,
    /// Which limit of the role is reached, and who holds its slots, as they were listed last.
    pub limit: Option<String>,
    /// The request that extends it, as the stores show that.
    pub extended_by: Option<ExtendedBy>,
}

impl Known {
    /// From what was dereferenced; `None` if the request does not exist. Asks the API server who is a manager (client).
    pub async fn new(ctx: &Context, dereferenced: Dereferenced) -> Option<Self> {
        let view = dereferenced.view(ctx).await;
        let request = view.request.clone()?;
        let tally = Arc::new(tally_decisions(&request, &view.decisions, &view.people));
        let Dereferenced { request: object, grant, decisions, extended_by, .. } = dereferenced;
        Some(Known { object: object?, grant, decisions, view, request, tally, limit: None, extended_by })
    }

    /// The tally for the next status of the request: a new one only where other terms are frozen.
    pub fn tally_for(&self, next: &Request) -> Arc<Tally> {
        if next.status.frozen == self.request.status.frozen {
            return self.tally.clone();
        }
        Arc::new(tally_decisions(next, &self.view.decisions, &self.view.people))
    }

    /// Takes note of a status that was stored.
    pub fn stored(&mut self, object: ActivationRequest, next: &Request, tally: Arc<Tally>) {
        (self.object, self.request, self.tally) = (object, next.clone(), tally);
    }

    /// The approvals that count, in the order of the stages, for the audit log.
    pub fn counted_decisions(&self, tally: &Tally) -> Vec<CountedDecision> {
        let counted = |i: &usize| {
            let decision = &self.view.decisions[*i];
            CountedDecision {
                name: decision.decider.username.clone(),
                decision: format!("{:?}", decision.verb),
                at: decision.created,
                duration: decision.duration.clone(),
                authentication: evidence(self.view.people.login_keys.mfa.as_ref(), &decision.decider),
            }
        };
        tally.stages.iter().flat_map(|stage| stage.approved.iter().map(counted)).collect()
    }

    /// The decisions that have a verdict now, each with why it does not count, or what it waits for, where the reason alone does not say it. Pure.
    pub fn verdicts(&self) -> impl Iterator<Item = (&AccessDecision, Counted, Option<String>)> {
        let progress = self.progress();
        let all = self.decisions.iter().zip(self.view.decisions.iter()).zip(&self.tally.counted).enumerate();
        all.filter_map(move |(i, ((object, decision), counted))| {
            let facts = VerdictFacts {
                decision,
                counted: *counted,
                request: progress,
                recorded: self.object.status.as_ref().is_some_and(|status| convert::names(status, decision)),
                settled: crate::controllers::decision::is_settled(object),
            };
            verdict::about_request(&facts).map(|counted| (&**object, counted, self.explain(i, counted)))
        })
    }

    /// Why a decision does not count, unless its verdict is not that of the tally.
    fn explain(&self, decision: usize, counted: Counted) -> Option<String> {
        let tallied = self.tally.counted.get(decision) == Some(&counted);
        let explained = || explain_decision(&self.request, &self.view.decisions, &self.tally, decision, &self.view.people);
        tallied.then(explained).flatten()
    }

    fn progress(&self) -> RequestProgress {
        let ended_at = self.object.status.as_ref().and_then(|status| status.ended_at).filter(|_| changes::has_ended(&self.object));
        match (ended_at, self.request.status.state) {
            (_, State::Pending) => RequestProgress::NotAccepted,
            (Some(end), _) => RequestProgress::Ended(end),
            (None, _) => RequestProgress::Open,
        }
    }
}
