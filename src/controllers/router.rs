//! What a change triggers: the trigger matrix of the operator. The router only pushes ids into work queues.
//!
//! | Change | Requests | Grants | Decisions | Readiness |
//! |---|---|---|---|---|
//! | request | itself, what it extends, and what extends it | | | yes |
//! | request deleted | what extends it | its live Grants, with a live read of the owner | | |
//! | decision | the one it is about | the one it is about | itself | |
//! | Grant | its own, and what extends that | itself | about it | yes |
//! | object with a Grant's label | | that Grant | | |
//! | template, assignment | live, for these templates | | | yes |
//! | ActiveAssignment | live, of its own | | | |
//! | role, namespace | live, for templates read from it | that bind the role, with a look at its content | | yes |
//! | policy | live, in the namespaces it covers or covered | | | yes |
//! | system, CurfewConfig | live | | | yes |
//! | admission proof recorded | that waited for it | that waited for it | that waited for it | |
//! | relist, lease acquired, first lists complete | live, and those with a review outstanding | all | without a final verdict | yes |
//! | lease lost, admission or clock changed | the same | live | the same | yes |
//! | a first list | | live | | |
//!
//! An ActiveAssignment runs when it changes, when one of its requests does, and with the requests of its template.
//! AssignmentRequests: itself and the others about the same assignment; those that a decision is about; with a template, assignment or
//! policy the live ones of its namespaces; with a system, CurfewConfig, a relist, the lease or the heartbeat all live ones. What one changes
//! is a change of its assignment. One that has given an assignment its window, and a decision about it, are a matter of readiness, too.
//!
//! A status that no rule reads triggers nothing; `runtime::changes` decides that. An ended request is only visited for a decision
//! about it that has no final verdict, and to tell of a break-glass access that this process has not told of; an ended Grant for its
//! retention, by its own deadline.
//!
//! There is one router for the changes that revocation needs (Grants, and what carries their mark), and one for all others: a
//! flood of requests and decisions does not delay the former.
use super::{Context, active_assignment::activation, context::WaitingForProof, convert::Assigned, grant::GrantController};
use crate::runtime::{
    changes::{self, AssignmentKey, AssignmentRequestGroup, Change, Concerned, DecisionSubject, GrantGroup, RequestGroup, StandingGroup},
    engine::WorkQueue,
    rounds::Rounds,
    stores::Key,
};
use crate::timing::timing;
use crate::traces::life::About;
use curfew_core::assignment_request::{Change as WindowChange, Origin};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The work queues of the engines.
#[derive(Clone)]
pub struct Router {
    /// The shared state.
    pub ctx: Arc<Context>,
    /// Is told which Grants must read their owner live.
    pub grant_controller: Arc<GrantController>,
    /// The queue of Grants.
    pub grants: WorkQueue<String>,
    /// The queues of the other controllers. A process that only revokes has none.
    pub others: Option<OtherQueues>,
}

/// The work queues of the controllers that revocation does not need.
#[derive(Clone)]
pub struct OtherQueues {
    /// The queue of requests.
    pub requests: WorkQueue<Key>,
    /// The queue of AssignmentRequests.
    pub assignment_requests: WorkQueue<Key>,
    /// The queue of decisions.
    pub decisions: WorkQueue<Key>,
    /// The queue of ActiveAssignments.
    pub standing: WorkQueue<Key>,
    /// The queue of the readiness controller.
    pub readiness: WorkQueue<()>,
}

impl OtherQueues {
    fn about(&self, subject: DecisionSubject, grants: &WorkQueue<String>) {
        match subject {
            DecisionSubject::Request(request) => self.requests.push(request),
            DecisionSubject::AssignmentRequest(request) => self.assignment_requests.push(request),
            DecisionSubject::Grant(id) => grants.push(id),
        }
    }
}

impl Router {
    /// Routes what these watches bring, and nothing else, until they end.
    pub async fn forward(self, mut changes: mpsc::UnboundedReceiver<Change>) {
        while let Some(change) = changes.recv().await {
            self.route_safely(change);
        }
    }

    /// Routes until the watches end.
    pub async fn run(self, mut changes: mpsc::UnboundedReceiver<Change>) {
        let mut authority = self.ctx.authority.changes();
        let mut waiting = Rounds::every(timing().heartbeat);
        let mut active = Rounds::every(timing().heartbeat);
        let mut assignment_requests = Rounds::every(timing().heartbeat);
        let mut looked_at = Looked::default();
        let (stores, everything) = (&self.ctx.stores, || usize::MAX);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.route_safely(change),
                    None => return,
                },
                share = waiting.share(|| stores.requests_with_access(false), everything) => {
                    self.others.iter().for_each(|others| share.iter().for_each(|key| others.requests.push(key.clone())));
                }
                share = active.share(|| stores.requests_with_access(true), || stores.most_watched()) => {
                    self.others.iter().for_each(|others| share.iter().for_each(|key| others.requests.push(key.clone())));
                }
                share = assignment_requests.share(|| stores.live_assignment_requests(&AssignmentRequestGroup::Live), everything) => {
                    self.others.iter().for_each(|others| share.iter().for_each(|key| others.assignment_requests.push(key.clone())));
                }
                () = self.ctx.proof_recorded.notified() => self.proof_recorded(),
                // Lease, admission or sync: what waited for a permit may continue now.
                changed = authority.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    looked_at = self.authority_changed(looked_at);
                }
            }
        }
    }

    /// What a change concerns may be unknown; then it concerns everything.
    fn route_safely(&self, change: Change) {
        let what = format!("{change:?}");
        if self.ctx.metrics.panics.catch_now("router", &what, || self.route(change)).is_none() {
            self.everything(GrantGroups::Live);
        }
    }

    /// Looks at everything when the controllers begin, since what has been shown until then has told them nothing, and when this replica
    /// leads; on other changes at what may have waited for a permit. Returns what has been looked at.
    fn authority_changed(&self, before: Looked) -> Looked {
        let authority = &self.ctx.authority;
        let now = Looked { begun: authority.begun(), term: if authority.leads() { authority.term() } else { before.term } };
        match () {
            () if !now.begun => self.push_grants(GrantGroups::Live),
            () if !before.begun => self.listed_again(),
            () if now.term != before.term => self.everything(GrantGroups::WithEnded),
            () => self.everything(GrantGroups::Live),
        }
        now
    }

    fn route(&self, change: Change) {
        match change {
            Change::Request(key) => {
                self.standing_of(&key);
                if let Some(others) = &self.others {
                    let extended = self.ctx.stores.request(&key).and_then(|request| changes::extended(&request));
                    extended.into_iter().for_each(|extended| others.requests.push(extended));
                    self.requests(&RequestGroup::Extending(key.clone()));
                    others.requests.push(key);
                    others.readiness.push(());
                }
            }
            Change::RequestGone(key) => {
                if self.others.is_some() && self.ctx.authority.leads() {
                    self.ctx.traces.deleted(About::Activation, &key, self.ctx.now());
                }
                self.standing_of(&key);
                self.requests(&RequestGroup::Extending(key.clone()));
                for id in self.ctx.stores.live_grant_ids(&GrantGroup::Request(key)) {
                    self.grant_controller.verify_owner(&id);
                    self.grants.push(id);
                }
            }
            Change::Decision(key, subject) => {
                if let DecisionSubject::AssignmentRequest(request) = &subject {
                    self.readiness_by(request, self.ctx.stores.assignment_request(request).map(|found| changes::assignment_of(&found)));
                }
                if let Some(others) = &self.others {
                    others.about(subject, &self.grants);
                    others.decisions.push(key);
                }
            }
            Change::AssignmentRequest(key, about) => {
                self.readiness_by(&key, Some(about.clone()));
                if let Some(others) = &self.others {
                    others.assignment_requests.push(key);
                }
                self.live_assignment_requests(&AssignmentRequestGroup::Assignment(about));
            }
            Change::Grant(id, request) => {
                self.grants.push(id.clone());
                if let Some(others) = &self.others {
                    for decision in self.ctx.stores.decisions_about(&DecisionSubject::Grant(id)) {
                        others.decisions.push(changes::key(&*decision));
                    }
                    self.requests(&RequestGroup::Extending(request.clone()));
                    others.requests.push(request);
                    others.readiness.push(());
                }
            }
            Change::Standing(key, uids) => {
                for uid in uids {
                    let about = (key.0.clone(), key.1.clone(), uid.clone());
                    self.live_assignment_requests(&AssignmentRequestGroup::Assignment(about));
                    self.requests(&RequestGroup::Standing(uid));
                }
                if let Some(others) = &self.others {
                    others.standing.push(key);
                }
            }
            Change::Marked(id) => self.grants.push(id),
            Change::Resolution(concerned) => {
                if concerned == Concerned::All {
                    self.ctx.config_changed.notify_one();
                }
                if let Some(others) = &self.others {
                    others.readiness.push(());
                }
                self.concerned(concerned);
            }
            Change::Resync if self.ctx.authority.begun() => self.listed_again(),
            // A first list: what is due ends at once, and all else is looked at when the lists are complete.
            Change::Resync => self.push_grants(GrantGroups::Live),
        }
    }

    fn concerned(&self, concerned: Concerned) {
        match concerned {
            Concerned::All => {
                self.requests(&RequestGroup::Live);
                self.standing(&StandingGroup::All);
                self.live_assignment_requests(&AssignmentRequestGroup::Live);
            }
            Concerned::Namespaces(namespaces) => namespaces.into_iter().for_each(|namespace| {
                self.live_assignment_requests(&AssignmentRequestGroup::Namespace(namespace.clone()));
                self.requests(&RequestGroup::Namespace(namespace.clone()));
                self.standing(&StandingGroup::Namespace(namespace));
            }),
            Concerned::Templates(templates) => templates.into_iter().for_each(|template| {
                self.live_assignment_requests(&AssignmentRequestGroup::Namespace(template.0.clone()));
                self.template(template);
            }),
            Concerned::Source(source) => {
                // First, since a role that is gone may be created with more.
                for id in self.ctx.stores.live_grant_ids(&GrantGroup::Content(source.clone())) {
                    self.grant_controller.verify_content(&id);
                    self.grants.push(id);
                }
                self.ctx.stores.templates_from(&source).into_iter().for_each(|template| self.template(template));
            }
        }
    }

    fn template(&self, template: Key) {
        self.requests(&RequestGroup::Template(template.clone()));
        self.standing(&StandingGroup::Template(template));
    }

    /// Judges what is ready if this AssignmentRequest has given an assignment its window, or has asked for it: then it, and the decisions about
    /// it, are the proof.
    fn readiness_by(&self, (namespace, request): &Key, about: Option<AssignmentKey>) {
        let (Some(others), Some((of, name, _))) = (&self.others, about.filter(|(of, ..)| of == namespace)) else { return };
        let key = (of, name);
        let by_change = |change: Option<&WindowChange>| change.is_some_and(|change| change.by.name == *request);
        let by_origin = |origin: Option<&Origin>| origin.is_some_and(|origin| origin.name == *request);
        if self.ctx.stores.assignment(&key).is_some_and(|a| by_change(a.change()) || by_origin(a.origin())) {
            others.readiness.push(());
        }
        if self.ctx.stores.active_assignment(&key).is_some_and(|a| by_change(a.change())) {
            others.standing.push(key);
        }
    }

    fn standing(&self, group: &StandingGroup) {
        if let Some(others) = &self.others {
            self.ctx.stores.standing_in(group).into_iter().for_each(|key| others.standing.push(key));
        }
    }

    /// The ActiveAssignment for which a request was created, by the request's name.
    fn standing_of(&self, (namespace, request): &Key) {
        let named = activation::assignment_in(request).map(|name| (namespace.clone(), name.to_owned()));
        if let (Some(others), Some(key)) = (&self.others, named.filter(|key| self.ctx.stores.active_assignment(key).is_some())) {
            others.standing.push(key);
        }
    }

    fn requests(&self, group: &RequestGroup) {
        if let Some(others) = &self.others {
            self.ctx.stores.live_request_keys(group).into_iter().for_each(|key| others.requests.push(key));
        }
    }

    fn live_assignment_requests(&self, group: &AssignmentRequestGroup) {
        if let Some(others) = &self.others {
            self.ctx.stores.live_assignment_requests(group).into_iter().for_each(|key| others.assignment_requests.push(key));
        }
    }

    fn proof_recorded(&self) {
        for waiting in self.ctx.take_proven() {
            match (waiting, &self.others) {
                (WaitingForProof::Grant(id), _) => self.grants.push(id),
                (WaitingForProof::Request(key), Some(others)) => others.requests.push(key),
                (WaitingForProof::Decision(key), Some(others)) => others.decisions.push(key),
                (WaitingForProof::Standing(key), Some(others)) => others.standing.push(key),
                (WaitingForProof::AssignmentRequest(key), Some(others)) => others.assignment_requests.push(key),
                (
                    WaitingForProof::Request(_)
                    | WaitingForProof::Decision(_)
                    | WaitingForProof::Standing(_)
                    | WaitingForProof::AssignmentRequest(_),
                    None,
                ) => {}
            }
        }
    }

    /// Pushes requests whose spans may be missing, once this replica leads: who has ended them may have been killed before it exported any.
    fn what_ended_a_moment_ago(&self, others: &OtherQueues) {
        let (ctx, now) = (&self.ctx, self.ctx.now());
        if !ctx.authority.leads() || !ctx.authority.synced() || !ctx.traces.begins(ctx.authority.term()) {
            return;
        }
        for (key, ended) in ctx.stores.requests.summarise(|request| request.ended_at) {
            if ctx.traces.want(About::Activation, key.clone(), Some(ended), now) {
                others.requests.push(key);
            }
        }
        for (key, ended) in ctx.stores.assignment_requests.summarise(|ended_at| ended_at) {
            if ctx.traces.want(About::Assignment, key.clone(), Some(ended), now) {
                others.assignment_requests.push(key);
            }
        }
    }

    /// Everything, after lists that may show what no event has told: live Grants look at their requests, and at the content of what they give.
    fn listed_again(&self) {
        // What a list does not show is read. What it shows and a watch would tell of later is looked at again by the heartbeat.
        self.ctx.stores.live_grant_ids(&GrantGroup::Live).iter().for_each(|id| self.grant_controller.look_again(id, true));
        self.everything(GrantGroups::WithEnded);
    }

    fn push_grants(&self, which: GrantGroups) {
        let stores = &self.ctx.stores;
        match which {
            GrantGroups::Live => stores.live_grant_ids(&GrantGroup::Live).into_iter().for_each(|id| self.grants.push(id)),
            GrantGroups::WithEnded => stores.grants.summarise(|_| Some(())).into_iter().for_each(|((_, id), ())| self.grants.push(id)),
        }
    }

    /// Pushes everything that may have something to do.
    fn everything(&self, grants: GrantGroups) {
        self.push_grants(grants);
        self.requests(&RequestGroup::Live);
        // What this process has not told of yet. One that was told costs a lookup.
        self.requests(&RequestGroup::Unreviewed);
        self.standing(&StandingGroup::All);
        self.live_assignment_requests(&AssignmentRequestGroup::Live);
        let Some(others) = &self.others else { return };
        self.what_ended_a_moment_ago(others);
        for decision in self.ctx.stores.open_decisions() {
            others.about(changes::subject(&decision), &self.grants);
            others.decisions.push(changes::key(&*decision));
        }
        others.readiness.push(());
    }
}

/// Which Grants are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum GrantGroups {
    /// Those that have not ended.
    Live,
    /// Ended ones, too: a lookup each, which restores the deadline of their retention.
    WithEnded,
}

/// When everything was looked at last.
#[derive(Clone, Copy, Default, Debug)]
struct Looked {
    /// The controllers had begun.
    begun: bool,
    /// The last term of the lease in which this replica led.
    term: u64,
}
