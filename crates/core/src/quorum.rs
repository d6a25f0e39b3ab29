//! Whether enough people can approve at all. A person counts once, for one stage; a group may have any number of members.
use crate::{approval::ApprovalStage, folding::fold, policy_inputs::ApprovalFloor, principal::Subject};
use std::collections::{BTreeMap, BTreeSet};

/// The distinct people among approvers, by their folded names: spellings of one name are one person. `None` if a group is among them.
/// Service accounts do not approve.
fn people<'a>(approvers: impl Iterator<Item = &'a Subject> + Clone) -> Option<BTreeSet<String>> {
    let group = approvers.clone().any(|a| matches!(a, Subject::Group(_)));
    (!group).then(|| approvers.filter(|a| matches!(a, Subject::User(_))).map(|a| fold(&a.principal())).collect())
}

/// Why these stages can never all pass, in words: one after the other or in any order, the people of escalations included.
pub fn unreachable(stages: &[ApprovalStage]) -> Option<String> {
    let listed: Vec<_> = stages.iter().filter_map(|s| people(s.all_approvers()).map(|people| (s, people))).collect();
    if let Some((s, people)) = listed.iter().find(|(s, people)| people.len() < usize::from(s.quorum)) {
        let (name, quorum, count) = (&s.name, s.quorum, people.len());
        return Some(format!("stage {name} needs {quorum} approvers and lists {count}; list more approvers or lower its quorum"));
    }
    // A matching of people to the approvals that are needed, each by an augmenting path.
    let needed: Vec<_> = listed.iter().flat_map(|(s, people)| (0..s.quorum).map(move |_| (s, people))).collect();
    let candidates: Vec<&BTreeSet<String>> = needed.iter().map(|(_, people)| *people).collect();
    let mut taken = BTreeMap::new();
    let failed = (0..needed.len()).find(|i| !assign(*i, &candidates, &mut taken, &mut BTreeSet::new()));
    failed.map(|i| {
        format!(
            "stage {} has no approver that another stage does not need, and a person counts once; list more approvers",
            needed[i].0.name
        )
    })
}

/// Gives one approval a person, and the approval that had that person another one, if there is any.
fn assign<'a>(
    approval: usize,
    candidates: &[&'a BTreeSet<String>],
    taken: &mut BTreeMap<&'a str, usize>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    for person in candidates[approval] {
        if !tried.insert(person) {
            continue;
        }
        let free = match taken.get(person.as_str()).copied() {
            None => true,
            Some(other) => assign(other, candidates, taken, tried),
        };
        if free {
            taken.insert(person, approval);
            return true;
        }
    }
    false
}

/// Why no stage can ever meet a policy's floor, in words.
pub fn floor_unreachable(floor: &ApprovalFloor) -> Option<String> {
    let count = people(floor.from.iter())?.len();
    let quorum = floor.quorum;
    (count < usize::from(quorum)).then(|| {
        format!("min.approval.atLeast asks for {quorum} approvers out of {count}, so nobody could approve; list more in from, or lower its quorum")
    })
}
