//! The calls of both targets, one by one: to IAM as `src/providers/aws/own_policies.rs` makes them, and to IAM Identity Center as
//! `src/providers/aws/identity_center.rs` does. Each gives every outcome that the target allows, the one without a lag first.
use super::{
    Content, Tick, World,
    model::{Model, Reply},
    mutants::Mutant,
    target::Outcomes,
};
use curfew_core::grant::OperationKind;

// === IAM ===

impl Model {
    /// CreatePolicy. If the name is taken, the policy is read; reads may not show it yet, or show one that is deleted.
    pub fn create_policy(&self, w: &World) -> Outcomes {
        if w.object.content == Content::Nothing {
            return vec![self.create(w)];
        }
        let found = (1..=w.next_uid).filter(|uid| w.object.may_show_uid(*uid));
        let mut all: Outcomes = found.map(|uid| (*w, Some(Reply::Reserved { uid }))).collect();
        if w.object.may_show_uid(0) {
            all.push((*w, Some(Reply::Failed)));
        }
        all.sort_by_key(|(_, reply)| *reply != Some(Reply::Reserved { uid: w.object.uid }));
        all
    }

    /// GetPolicy before the policy is attached: it must be the one that was reserved.
    pub fn read_policy(&self, w: &World, uid: u8) -> Outcomes {
        let mut all = Vec::new();
        if w.object.may_show_uid(uid) {
            all.push((*w, None));
        }
        if (0..=w.next_uid).any(|shown| shown != uid && w.object.may_show_uid(shown)) {
            all.push((*w, Some(Reply::Failed)));
        }
        all
    }

    /// AttachUserPolicy, by name: it fails if no policy has the name.
    pub fn attach(&self, w: &World) -> Outcomes {
        if w.object.content == Content::Nothing && self.setting.mutant != Mutant::ArmCreates {
            return vec![(*w, Some(Reply::Failed))];
        }
        let mut n = *w;
        self.give(&mut n, w.object.uid.max(1));
        vec![(n, Some(Reply::Done))]
    }

    /// The policy is looked for, and DetachUserPolicy is sent if it is there. One that is not attached, as far as IAM knows, is success.
    pub fn detach(&self, w: &World) -> Outcomes {
        let mut all = Vec::new();
        if w.object.content == Content::Given {
            let mut taken = *w;
            taken.object.put(w.object.uid, Content::Reserved);
            all.push((taken, None));
        }
        if w.object.may_show(Content::Reserved) {
            all.push((*w, None));
        }
        if w.object.may_show(Content::Nothing) {
            all.push((*w, Some(Reply::Gone)));
        }
        all
    }

    /// DeletePolicy: it is refused while the policy is attached. One that does not exist, as far as IAM knows, is success.
    pub fn delete_policy(&self, w: &World) -> Outcomes {
        let mut all = match w.object.content {
            Content::Nothing => Vec::new(),
            Content::Reserved => vec![(self.delete(w), Some(Reply::Gone))],
            Content::Given => vec![(*w, Some(Reply::Failed))],
        };
        if w.object.may_show(Content::Nothing) {
            all.push((*w, Some(Reply::Gone)));
        }
        all
    }
}

// === IAM Identity Center ===

impl Model {
    /// The permission set is looked for, and created if reads show none. One that exists, and is not shown, has the name; what is
    /// written to one that is deleted is refused.
    pub fn create_set(&self, w: &World) -> Outcomes {
        let absent = w.object.content == Content::Nothing;
        let mut all = if absent { vec![self.create(w)] } else { vec![(*w, Some(Reply::Reserved { uid: w.object.uid }))] };
        if (0..=w.next_uid).any(|shown| shown != w.object.uid && w.object.may_show_uid(shown)) {
            all.push((*w, Some(Reply::Failed)));
        }
        all
    }

    /// The reserved permission set is read. If the user has it already, nothing is written.
    pub fn read_set(&self, w: &World, uid: u8) -> Outcomes {
        let uid = if self.setting.mutant == Mutant::ArmNamesNoUid { w.object.uid } else { uid };
        let mut all = Vec::new();
        if uid != 0 && w.object.may_show_uid(uid) {
            if w.object.may_show(Content::Given) {
                all.push((*w, Some(Reply::Done)));
            }
            if w.object.may_show(Content::Reserved) || w.object.may_show(Content::Nothing) {
                all.push((*w, None));
            }
        }
        if (0..=w.next_uid).any(|shown| shown != uid && w.object.may_show_uid(shown)) {
            all.push((*w, Some(Reply::Failed)));
        }
        all
    }

    /// CreateAccountAssignment, by id: it fails if the permission set does not exist. It is accepted, done at once, or refused while
    /// another operation on the same assignment runs.
    pub fn assign(&self, w: &World, uid: u8, now: Tick) -> Outcomes {
        let mutant = self.setting.mutant;
        let uid = if mutant == Mutant::ArmNamesNoUid { w.object.uid } else { uid };
        let creates = mutant == Mutant::ArmCreates && w.object.content == Content::Nothing;
        if !creates && (w.object.content == Content::Nothing || w.object.uid != uid) {
            return vec![(*w, Some(Reply::Failed))];
        }
        let mut given = *w;
        self.give(&mut given, uid);
        let mut all = vec![(given, Some(Reply::Done))];
        all.extend(self.start(w, now, OperationKind::Apply, uid));
        if w.operations.iter().flatten().any(|o| o.uid == uid) {
            all.push((*w, Some(Reply::Failed)));
        }
        all
    }

    /// The permission set and its assignments are looked for, and DeleteAccountAssignment is sent for the one that is shown. Where none
    /// is shown, Identity Center is asked for what it is assigning, and may not tell it yet.
    pub fn unassign(&self, w: &World, now: Tick) -> Outcomes {
        let mut all = Vec::new();
        if w.object.content == Content::Given {
            let mut taken = *w;
            taken.object.put(w.object.uid, Content::Reserved);
            all.push((taken, None));
            all.extend(self.start(w, now, OperationKind::Revoke, w.object.uid));
            if w.operations.iter().flatten().any(|o| o.uid == w.object.uid) {
                all.push((*w, Some(Reply::Failed)));
            }
        }
        if w.object.may_show(Content::Reserved) {
            let told = w.is_being_given();
            let asks_alone = self.setting.mutant == Mutant::DeletionNotRefused;
            all.extend(told.then_some((*w, Some(Reply::Failed))));
            all.extend((!told || !asks_alone).then_some((*w, None)));
        }
        if w.object.may_show(Content::Nothing) {
            all.push((*w, Some(Reply::Gone)));
        }
        all
    }

    /// DeletePermissionSet: it is refused while the permission set is assigned, or is being assigned. One that does not exist, as far as
    /// Identity Center knows, is success.
    pub fn delete_set(&self, w: &World) -> Outcomes {
        let refused = w.object.content == Content::Given || w.is_being_given() && self.setting.mutant != Mutant::DeletionNotRefused;
        let mut all = match w.object.content {
            Content::Nothing => Vec::new(),
            _ if refused => vec![(*w, Some(Reply::Failed))],
            Content::Reserved | Content::Given => vec![(self.delete(w), Some(Reply::Gone))],
        };
        if w.object.may_show(Content::Nothing) {
            all.push((*w, Some(Reply::Gone)));
        }
        all
    }
}
