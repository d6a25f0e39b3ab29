//! What an active grant holds, compared with what the cluster holds now: less is noted, more ends the grant.
use super::{
    GrantedPermissions, GrantedRole, GrantedScope, Inventory, Permissions, Plan, PlannedBinding, RoleKind, RoleName, Scope, persistence,
    role_in_words,
};
use crate::target::{Content, Held, SlotSet, Unresolvable};

/// How a role that was frozen stands now.
#[derive(Clone, PartialEq, Eq, Debug)]
enum RoleNow {
    /// It does not exist, and gives nothing.
    Missing,
    /// It allows nothing that was not frozen.
    Within,
    /// It allows more, or its content cannot be compared.
    Grown(String),
}

/// The names of what is held.
pub fn named_permissions(held: &GrantedPermissions) -> Permissions {
    let of = |kind| held.roles.iter().filter(move |r| r.kind == kind);
    let role = |r: &GrantedRole| RoleName { namespace: r.namespace.clone().unwrap_or_default(), name: r.name.clone() };
    Permissions {
        cluster_roles: of(RoleKind::ClusterRole).map(|r| r.name.clone()).collect(),
        roles: of(RoleKind::Role).map(role).collect(),
    }
}

/// The scope that is held, by names.
pub fn named_scope(held: &GrantedScope) -> Scope {
    match held {
        GrantedScope::ClusterWide(all) => Scope::ClusterWide(*all),
        GrantedScope::Namespaces(n) => Scope::Namespaces(n.iter().map(|n| n.name.clone()).collect()),
    }
}

/// The first role of `held` that these permissions do not name, in words.
pub fn lacks(permissions: &Permissions, held: &Permissions) -> Option<String> {
    let cluster_role = held.cluster_roles.iter().find(|r| !permissions.cluster_roles.contains(r));
    let role = held.roles.iter().find(|r| !permissions.roles.contains(r));
    let cluster_role = cluster_role.map(|r| role_in_words(RoleKind::ClusterRole, None, r));
    cluster_role.or_else(|| role.map(|r| role_in_words(RoleKind::Role, Some(&r.namespace), &r.name)))
}

/// What is left of what is held.
///
/// # Errors
/// What allows more now, or that none of the namespaces exists.
pub fn held(permissions: &GrantedPermissions, scope: &GrantedScope, inventory: &Inventory) -> Result<Held, Unresolvable> {
    let mut gone = Vec::new();
    for role in &permissions.roles {
        match role_now(role, inventory) {
            RoleNow::Within => {}
            RoleNow::Missing => gone.push(in_words(role)),
            RoleNow::Grown(what) => {
                return Err(Unresolvable::Changed(format!("{} allows more than what was approved: {what}", in_words(role))));
            }
        }
    }
    if let GrantedScope::Namespaces(namespaces) = scope {
        // A namespace of the same name is another one, and holds none of the bindings.
        let missing: Vec<_> = namespaces.iter().filter(|n| !inventory.namespaces.contains(n)).collect();
        if missing.len() == namespaces.len() {
            let names = namespaces.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Unresolvable::NotReady(format!("of the namespaces {names} none exists any more")));
        }
        gone.extend(missing.into_iter().map(|n| format!("namespace {}", n.name)));
    }
    Ok(Held { gone })
}

/// The first role that differs from what was frozen, in words.
pub fn changed_since(now: &GrantedPermissions, frozen: &GrantedPermissions) -> Option<String> {
    let then =
        |role: &GrantedRole| frozen.roles.iter().find(|r| (r.kind, &r.namespace, &r.name) == (role.kind, &role.namespace, &role.name));
    now.roles.iter().find_map(|role| match then(role) {
        None => Some(format!("{} is new in the role", in_words(role))),
        Some(then) if then.rules != role.rules => Some(format!("the rules of {} have changed", in_words(role))),
        Some(then) if then.uid != role.uid => Some(format!("{} was deleted and created again", in_words(role))),
        Some(_) => None,
    })
}

/// How the roles that a plan binds stand now. A part of the plan is one role ([`parts`]).
pub fn content(permissions: &GrantedPermissions, plan: &Plan, inventory: &Inventory) -> Content {
    let mut missing = SlotSet::NONE;
    for (part, binding) in (0..).zip(parts(plan)) {
        let namespace = (binding.role_kind == RoleKind::Role).then_some(binding.namespace.as_deref()).flatten();
        let frozen =
            permissions.roles.iter().find(|r| r.kind == binding.role_kind && r.name == binding.role && r.namespace.as_deref() == namespace);
        match frozen.map(|frozen| role_now(frozen, inventory)) {
            Some(RoleNow::Within) => {}
            Some(RoleNow::Missing) => missing = missing.with(part),
            Some(RoleNow::Grown(_)) => return Content::Grown,
            None => return Content::Unknown,
        }
    }
    Content::Within { missing }
}

/// The first binding of each role of a plan, in its order: the parts of the plan.
pub fn parts(plan: &Plan) -> Vec<&PlannedBinding> {
    let mut parts: Vec<&PlannedBinding> = Vec::new();
    for binding in &plan.bindings {
        if !parts.iter().any(|part| part.is_same_role(binding)) {
            parts.push(binding);
        }
    }
    parts
}

/// The part of each binding of a plan, in its order.
pub fn part_of_each(plan: &Plan) -> Vec<u8> {
    let parts = parts(plan);
    let part = |binding: &PlannedBinding| parts.iter().position(|part| part.is_same_role(binding));
    plan.bindings.iter().map(|binding| part(binding).and_then(|index| u8::try_from(index).ok()).unwrap_or(u8::MAX)).collect()
}

/// The roles of a plan, in words.
pub fn parts_in_words(plan: &Plan) -> Vec<String> {
    parts(plan).into_iter().map(PlannedBinding::role_in_words).collect()
}

impl PlannedBinding {
    /// Whether both bind one role.
    fn is_same_role(&self, other: &PlannedBinding) -> bool {
        let same_place = self.role_kind == RoleKind::ClusterRole || self.namespace == other.namespace;
        self.role_kind == other.role_kind && self.role == other.role && same_place
    }

    /// The role that it binds, in words.
    pub fn role_in_words(&self) -> String {
        role_in_words(self.role_kind, (self.role_kind == RoleKind::Role).then_some(self.namespace.as_deref()).flatten(), &self.role)
    }
}

fn in_words(role: &GrantedRole) -> String {
    role_in_words(role.kind, role.namespace.as_deref(), &role.name)
}

fn role_now(frozen: &GrantedRole, inventory: &Inventory) -> RoleNow {
    let Some(now) = inventory.role(frozen.kind, frozen.namespace.as_deref(), &frozen.name) else { return RoleNow::Missing };
    let same = now.rules == frozen.rules;
    if frozen.content.is_empty() {
        // Frozen without its content: only the same role with the same content is known to allow no more.
        return if same && now.uid == frozen.uid {
            RoleNow::Within
        } else {
            RoleNow::Grown("its content or its uid is another one".into())
        };
    }
    match &now.content {
        _ if same => RoleNow::Within,
        Some(content) => persistence::beyond(content, &frozen.content).map_or(RoleNow::Within, RoleNow::Grown),
        None => RoleNow::Grown(format!("more than {} single permissions", persistence::MAX_EXPANDED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        principal::Subject,
        resolved::Ref,
        target::kubernetes::{RoleContent, persistence::Rule},
    };

    fn rules(verbs: &[&str]) -> Vec<Rule> {
        let strings = |s: &[&str]| s.iter().map(ToString::to_string).collect();
        vec![Rule { api_groups: strings(&[""]), resources: strings(&["pods"]), verbs: strings(verbs), ..Rule::default() }]
    }

    fn frozen(name: &str, verbs: &[&str]) -> GrantedRole {
        let (kind, rules) = (RoleKind::ClusterRole, rules(verbs));
        GrantedRole { kind, name: name.into(), namespace: None, uid: "u".into(), rules: persistence::digest(&rules), content: rules }
    }

    fn now(name: &str, uid: &str, verbs: &[&str]) -> RoleContent {
        let (kind, rules) = (RoleKind::ClusterRole, rules(verbs));
        RoleContent {
            kind,
            namespace: None,
            name: name.into(),
            uid: uid.into(),
            rules: persistence::digest(&rules),
            content: persistence::canonical(&rules),
            without_rules: false,
            cluster_only: None,
            persistence: None,
        }
    }

    fn namespaces(names: &[(&str, &str)]) -> Vec<Ref> {
        names.iter().map(|(name, uid)| Ref { name: (*name).into(), uid: (*uid).into() }).collect()
    }

    #[test]
    fn less_is_noted_and_more_ends_the_grant() {
        let held_roles = GrantedPermissions { roles: vec![frozen("view", &["get", "list"]), frozen("edit", &["update"])] };
        let scope = GrantedScope::Namespaces(namespaces(&[("a", "1"), ("b", "2")]));
        let judged = |roles: Vec<RoleContent>, there: &[(&str, &str)]| {
            let inventory = Inventory { roles, namespaces: namespaces(there), terminating: Vec::new() };
            held(&held_roles, &scope, &inventory)
        };
        let (both, edit) = ([("a", "1"), ("b", "2")], || now("edit", "u", &["update"]));
        let gone = |what: &[&str]| Ok(Held { gone: what.iter().map(ToString::to_string).collect() });
        assert_eq!(judged(vec![now("view", "u", &["list", "get", "get"]), edit()], &both), gone(&[]));
        assert_eq!(judged(vec![now("view", "other", &["get", "list"]), edit()], &both), gone(&[]), "re-created the same");
        assert_eq!(judged(vec![now("view", "other", &["get"]), edit()], &both), gone(&[]), "re-created with less");
        assert_eq!(judged(vec![edit()], &both), gone(&["ClusterRole view"]));
        assert_eq!(judged(vec![now("view", "u", &["get"]), edit()], &both[..1]), gone(&["namespace b"]));
        assert_eq!(
            judged(vec![now("view", "u", &["get"]), edit()], &[("a", "1"), ("b", "3")]),
            gone(&["namespace b"]),
            "another namespace b"
        );
        let none = judged(vec![now("view", "u", &["get"]), edit()], &[("a", "3")]).unwrap_err();
        assert!(matches!(none, Unresolvable::NotReady(what) if what == "of the namespaces a, b none exists any more"));
        let more = judged(vec![now("view", "u", &["get", "watch"]), edit()], &both).unwrap_err();
        assert!(matches!(more, Unresolvable::Changed(what) if what == "ClusterRole view allows more than what was approved: watch pods"));
    }

    #[test]
    fn a_role_that_was_frozen_without_content_is_judged_by_digest_and_uid() {
        let old = GrantedPermissions { roles: vec![GrantedRole { content: Vec::new(), ..frozen("view", &["get", "list"]) }] };
        let scope = GrantedScope::ClusterWide(crate::target::Empty {});
        let judged = |role| held(&old, &scope, &Inventory { roles: vec![role], ..Inventory::default() });
        assert_eq!(judged(now("view", "u", &["list", "get"])), Ok(Held::default()));
        assert!(matches!(judged(now("view", "u", &["get"])), Err(Unresolvable::Changed(_))));
        assert!(matches!(judged(now("view", "other", &["get", "list"])), Err(Unresolvable::Changed(_))));
    }

    #[test]
    fn the_parts_of_a_plan_are_its_roles() {
        let binding = |role: &str, role_kind, namespace: &str| PlannedBinding {
            name: format!("{role}-{namespace}"),
            namespace: Some(namespace.into()),
            role_kind,
            role: role.into(),
        };
        let (cluster, role) = (RoleKind::ClusterRole, RoleKind::Role);
        let bindings =
            vec![binding("view", cluster, "a"), binding("view", cluster, "b"), binding("edit", cluster, "a"), binding("edit", role, "a")];
        let plan = Plan { subject: Subject::User("alice".into()), bindings, fuse: crate::target::kubernetes::Fuse::default() };
        assert_eq!(part_of_each(&plan), [0, 0, 1, 2]);
        let held = GrantedPermissions {
            roles: vec![
                frozen("view", &["get"]),
                frozen("edit", &["get"]),
                GrantedRole { kind: role, namespace: Some("a".into()), ..frozen("edit", &["get"]) },
            ],
        };
        let there = |roles: Vec<RoleContent>| content(&held, &plan, &Inventory { roles, ..Inventory::default() });
        let named = |role: RoleContent| RoleContent { kind: RoleKind::Role, namespace: Some("a".into()), ..role };
        let all = || vec![now("view", "u", &["get"]), now("edit", "u", &["get"]), named(now("edit", "u", &["get"]))];
        assert_eq!(there(all()), Content::Within { missing: SlotSet::NONE });
        assert_eq!(there(all()[1..2].to_vec()), Content::Within { missing: SlotSet::NONE.with(0).with(2) });
        assert_eq!(there([vec![now("view", "v", &["*"])], all()[1..].to_vec()].concat()), Content::Grown);
        let other = GrantedPermissions { roles: held.roles[1..].to_vec() };
        assert_eq!(content(&other, &plan, &Inventory { roles: all(), ..Inventory::default() }), Content::Unknown);
    }
}
