//! Less than a role gives: at an assignment and at a request. What is granted is what was asked for, and nothing that the role, the
//! assignment or the policy does not allow.
// Shared with tests that use more of it.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    policy_inputs::{Assignment, Progress},
    reason::Reason,
    resolved::{Ref, Terms},
    target::{
        Empty, GrantedPermissions, GrantedScope, PermissionsByProvider, ProviderKind, ScopeByProvider, aws, kubernetes,
        kubernetes::{RoleContent, RoleKind, RoleName},
    },
    terms::{Refusal, assignment_ready, resolve},
};
use fixture::{Fixture, NOW, active, fixture, namespaces, reference, roles};

/// The words of a refusal, and the change that leads to it.
type Case = (&'static str, fn(&mut Fixture));

/// The fixture with two ClusterRoles and a Role, in two namespaces.
fn rich() -> Fixture {
    let mut f = fixture();
    let of = |namespace: &str, name: &str| RoleName { namespace: namespace.into(), name: name.into() };
    let given =
        kubernetes::Permissions { cluster_roles: vec!["payments-admin".into(), "view".into()], roles: vec![of("canary", "deployer")] };
    f.template().permissions = kubernetes_permissions(given.clone());
    f.policies[0].permissions = kubernetes_permissions(given);
    let admin = f.kubernetes().roles[0].clone();
    f.kubernetes().roles.push(RoleContent { name: "view".into(), ..admin.clone() });
    f.kubernetes().roles.push(RoleContent { kind: RoleKind::Role, namespace: Some("canary".into()), name: "deployer".into(), ..admin });
    f
}

fn kubernetes_permissions(permissions: kubernetes::Permissions) -> PermissionsByProvider {
    PermissionsByProvider { kubernetes: Some(permissions), ..PermissionsByProvider::default() }
}

fn role(namespace: &str, name: &str) -> PermissionsByProvider {
    let roles = vec![RoleName { namespace: namespace.into(), name: name.into() }];
    kubernetes_permissions(kubernetes::Permissions { cluster_roles: Vec::new(), roles })
}

fn cluster_wide() -> ScopeByProvider {
    ScopeByProvider { kubernetes: Some(kubernetes::Scope::ClusterWide(Empty {})), ..ScopeByProvider::default() }
}

fn elsewhere() -> ScopeByProvider {
    ScopeByProvider { aws: Some(aws::Scope::account()), ..ScopeByProvider::default() }
}

fn aws_group() -> aws::Permissions {
    let center = aws::IdentityCenter { group: Some("01234567-89ab-cdef-0123-456789abcdef".into()), ..aws::IdentityCenter::default() };
    aws::Permissions { identity_center: Some(center), ..aws::Permissions::default() }
}

fn with(change: impl FnOnce(&mut Fixture)) -> Result<Terms, Refusal> {
    let mut f = rich();
    change(&mut f);
    resolve(&f.asked, &f.inputs())
}

fn refused(reason: Reason, words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = with(change).expect_err(words);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
}

/// The names of what is granted: permissions and namespaces.
fn granted(terms: &Terms) -> (Vec<String>, Vec<String>) {
    let (GrantedPermissions::Kubernetes(permissions), GrantedScope::Kubernetes(scope)) =
        (&terms.resolved.permissions, &terms.resolved.scope)
    else {
        panic!("the fixture is a cluster")
    };
    let places = match scope {
        kubernetes::GrantedScope::ClusterWide(_) => vec!["*".to_owned()],
        kubernetes::GrantedScope::Namespaces(all) => all.iter().map(|n| n.name.clone()).collect(),
    };
    (permissions.roles.iter().map(|r| r.name.clone()).collect(), places)
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_request_gets_exactly_what_it_asks_for() {
    let of = |change: fn(&mut Fixture)| granted(&with(change).unwrap());
    assert_eq!(of(|_| ()), (list(&["payments-admin", "view", "deployer"]), list(&["canary", "payments"])));
    assert_eq!(of(|f| f.asked.scope = Some(namespaces(&["payments"]))), (list(&["payments-admin", "view"]), list(&["payments"])));
    assert_eq!(of(|f| f.asked.permissions = Some(roles(&["view"]))), (list(&["view"]), list(&["canary", "payments"])));
    let both = of(|f| {
        f.asked.scope = Some(namespaces(&["canary"]));
        f.asked.permissions = Some(role("canary", "deployer"));
    });
    assert_eq!(both, (list(&["deployer"]), list(&["canary"])));
    // All that there is, in other words and in another order, is the same access.
    let plain = with(|_| ()).unwrap();
    let all = with(|f| {
        f.asked.scope = Some(namespaces(&["canary", "payments"]));
        f.asked.permissions = f.template().permissions.clone().into();
    });
    assert_eq!(all.unwrap().digest, plain.digest);
    let less = with(|f| f.asked.scope = Some(namespaces(&["payments"]))).unwrap();
    assert!(less.digest != plain.digest && less.effects != plain.effects, "less is another access");
}

#[test]
fn a_request_for_namespaces_of_a_role_of_the_whole_cluster_is_one_for_these_namespaces() {
    let wide = |f: &mut Fixture| {
        (f.template().scope, f.policies[0].scope) = (cluster_wide(), cluster_wide());
        f.policies[0].persistence = true;
    };
    let narrow = with(|f| {
        wide(f);
        f.asked.scope = Some(namespaces(&["payments"]));
    });
    assert_eq!(granted(&narrow.unwrap()).1, ["payments"]);
    refused(Reason::WiderScope, "spec.scope cannot be granted: namespace nowhere does not exist", |f| {
        wide(f);
        f.asked.scope = Some(namespaces(&["nowhere"]));
    });
    refused(Reason::WiderScope, "spec.scope reaches the whole cluster, which role admin does not", |f| {
        f.asked.scope = Some(cluster_wide())
    });
}

#[test]
fn more_than_the_role_has_is_refused_by_name_with_what_is_allowed() {
    refused(
        Reason::WiderScope,
        "spec.scope reaches namespace billing, which role admin does not; it reaches namespaces payments, canary",
        |f| {
            f.asked.scope = Some(namespaces(&["payments", "billing"]));
        },
    );
    let words = "spec.permissions asks for ClusterRole edit, which role admin does not give; it gives ClusterRole payments-admin, ClusterRole view, Role deployer of namespace canary";
    refused(Reason::WiderPermissions, words, |f| f.asked.permissions = Some(roles(&["view", "edit"])));
    refused(Reason::WiderPermissions, "Role deployer of namespace payments", |f| f.asked.permissions = Some(role("payments", "deployer")));
    refused(Reason::WiderPermissions, "ClusterRole *", |f| f.asked.permissions = Some(roles(&["*"])));
    // What the request itself names must be granted; what the role names for another place is not asked for.
    refused(Reason::WiderPermissions, "Role deployer of namespace canary, which spec.scope does not reach", |f| {
        f.asked.scope = Some(namespaces(&["payments"]));
        f.asked.permissions = Some(role("canary", "deployer"));
    });
    // One entry, for the provider of the system.
    refused(Reason::WiderScope, "spec.scope has an entry for provider aws, and system prod is of provider kubernetes", |f| {
        f.asked.scope = Some(elsewhere());
    });
    refused(Reason::WiderScope, "leave that entry out", |f| {
        f.asked.scope = Some(ScopeByProvider { aws: Some(aws::Scope::account()), ..namespaces(&["payments"]) });
    });
    refused(Reason::WiderPermissions, "spec.permissions has an entry for provider aws", |f| {
        f.asked.permissions = Some(PermissionsByProvider { aws: Some(aws_group()), ..roles(&["view"]) });
    });
    // Nothing at all.
    refused(Reason::WiderScope, "systems of provider kubernetes", |f| f.asked.scope = Some(ScopeByProvider::default()));
    refused(Reason::WiderPermissions, "systems of provider kubernetes", |f| f.asked.permissions = Some(PermissionsByProvider::default()));
    refused(Reason::WiderPermissions, "leaves nothing of what role admin gives", |f| f.asked.permissions = Some(roles(&[])));
    refused(Reason::WiderScope, "leaves nothing of what role admin gives", |f| {
        f.template().permissions = role("canary", "deployer");
        f.asked.scope = Some(namespaces(&["payments"]));
    });
    // Everybody is told the same, also who is not eligible.
    refused(Reason::WiderScope, "namespace billing", |f| {
        f.assignments.clear();
        f.asked.scope = Some(namespaces(&["billing"]));
    });
}

/// A second assignment of the group, which comes first by name.
fn second(f: &mut Fixture, change: impl FnOnce(&mut Assignment)) {
    let mut one = Assignment { reference: reference("a-first"), ..f.assignments[0].clone() };
    change(&mut one);
    f.assignments.push(one);
}

#[test]
fn an_assignment_gives_less_and_a_request_of_it_still_less() {
    let narrow = |f: &mut Fixture| {
        f.assignments[0].scope = Some(namespaces(&["canary"]));
        f.assignments[0].permissions = Some(roles(&["view"]));
    };
    assert_eq!(granted(&with(narrow).unwrap()), (list(&["view"]), list(&["canary"])));
    refused(Reason::WiderScope, "namespace payments, which assignment devs for role admin does not; it reaches namespace canary", |f| {
        narrow(f);
        f.asked.scope = Some(namespaces(&["payments"]));
    });
    refused(
        Reason::WiderPermissions,
        "ClusterRole payments-admin, which assignment devs for role admin does not give; it gives ClusterRole view",
        |f| {
            narrow(f);
            f.asked.permissions = Some(roles(&["payments-admin"]));
        },
    );
    // Never the union of two assignments: one of them must give all of it, whichever that is.
    let two = |f: &mut Fixture| {
        narrow(f);
        second(f, |one| one.scope = Some(namespaces(&["payments"])));
    };
    let of_devs = with(|f| {
        two(f);
        f.asked.scope = Some(namespaces(&["canary"]));
    });
    assert_eq!(of_devs.unwrap().resolved.assignment.name, "devs");
    refused(Reason::WiderScope, "spec.scope reaches namespace payments", |f| {
        two(f);
        f.asked.scope = Some(namespaces(&["payments", "canary"]));
    });
    // One that gives nothing at this provider makes nobody eligible, and stands in the way of no other.
    let nothing = |f: &mut Fixture| {
        f.template().scope.aws = Some(aws::Scope::account());
        f.assignments[0].scope = Some(elsewhere());
    };
    refused(Reason::NotEligible, "assignment devs reaches nothing of role admin", nothing);
    refused(Reason::NotEligible, "assignment devs gives nothing of role admin at systems of provider kubernetes", |f| {
        f.template().permissions.aws = Some(aws_group());
        f.assignments[0].permissions = Some(PermissionsByProvider { aws: Some(aws_group()), ..PermissionsByProvider::default() });
    });
    let other = with(|f| {
        nothing(f);
        second(f, |one| (one.reference, one.scope) = (reference("z-last"), None));
    });
    assert_eq!(other.unwrap().resolved.assignment.name, "z-last");
}

#[test]
fn an_assignment_that_is_wider_than_its_role_is_not_ready_and_makes_nobody_eligible() {
    let wide: [Case; 5] = [
        ("assignment devs reaches namespace billing, which role admin does not", |f| {
            f.assignments[0].scope = Some(namespaces(&["payments", "billing"]));
        }),
        ("assignment devs reaches systems of provider aws, which role admin does not", |f| {
            f.assignments[0].scope = Some(ScopeByProvider { aws: Some(aws::Scope::account()), ..namespaces(&["payments"]) });
        }),
        ("assignment devs gives ClusterRole edit, which role admin does not", |f| f.assignments[0].permissions = Some(roles(&["edit"]))),
        ("assignment devs gives systems of provider aws", |f| {
            f.assignments[0].permissions = Some(PermissionsByProvider { aws: Some(aws_group()), ..roles(&["view"]) });
        }),
        ("assignment devs gives Role deployer of namespace canary, which its own scope does not reach", |f| {
            f.assignments[0].scope = Some(namespaces(&["payments"]));
            f.assignments[0].permissions = Some(role("canary", "deployer"));
        }),
    ];
    for (words, change) in wide {
        refused(Reason::NotEligible, words, change);
        let mut f = rich();
        change(&mut f);
        let refusal = assignment_ready(&f.assignments[0], f.template.as_ref(), &f.inputs()).expect_err(words);
        assert!(refusal.reason == Reason::OutsidePolicy && refusal.message.contains(words), "{refusal:?}");
    }
    let mut f = rich();
    f.assignments[0].scope = Some(namespaces(&["canary"]));
    f.assignments[0].permissions = Some(role("canary", "deployer"));
    assert_eq!(assignment_ready(&f.assignments[0], f.template.as_ref(), &f.inputs()), Ok(()));
}

/// An active request for the ClusterRole `view` in namespace `payments`, after this change.
fn while_active(change: impl FnOnce(&mut Fixture)) -> Result<Terms, Refusal> {
    with(|f| {
        f.asked.scope = Some(namespaces(&["payments"]));
        f.asked.permissions = Some(roles(&["view"]));
        active(f, NOW.plus_secs(600));
        change(f);
    })
}

#[test]
fn what_is_active_is_judged_by_what_was_approved_of_it() {
    let approved = while_active(|_| ()).unwrap();
    let goes_on: [fn(&mut Fixture); 7] = [
        // The role and the assignment shrink elsewhere.
        |f| f.template().scope = namespaces(&["payments"]),
        |f| f.template().permissions = roles(&["view"]),
        |f| f.assignments[0].scope = Some(namespaces(&["payments"])),
        |f| f.assignments[0].permissions = Some(roles(&["view"])),
        |f| f.policies[0].permissions = roles(&["view"]),
        // The assignment is wider than the role now.
        |f| {
            f.template().scope = namespaces(&["payments"]);
            f.assignments[0].scope = Some(namespaces(&["payments", "canary"]));
        },
        |f| drop(f.kubernetes().roles.remove(0)),
    ];
    for (i, change) in goes_on.into_iter().enumerate() {
        let terms = while_active(change).unwrap_or_else(|refusal| panic!("change {i}: {refusal:?}"));
        assert_eq!((terms.effects, terms.gone), (approved.effects, None), "change {i}");
    }
    let ends: [Case; 5] = [
        ("role admin no longer covers ClusterRole view", |f| f.template().permissions = roles(&["payments-admin"])),
        ("role admin no longer covers namespace payments", |f| f.template().scope = namespaces(&["canary"])),
        ("assignment devs for role admin no longer reaches namespace payments", |f| f.assignments[0].scope = Some(namespaces(&["canary"]))),
        ("assignment devs for role admin no longer gives ClusterRole view", |f| {
            f.assignments[0].permissions = Some(roles(&["payments-admin"]))
        }),
        ("assignment devs for role admin no longer reaches systems of provider kubernetes", |f| f.assignments[0].scope = Some(elsewhere())),
    ];
    for (words, change) in ends {
        let refusal = while_active(change).expect_err(words);
        assert!(refusal.reason == Reason::TemplateChanged && refusal.message.contains(words), "{words:?}: {refusal:?}");
    }
    let by_policy = while_active(|f| f.policies[0].scope = namespaces(&["canary"])).expect_err("the policy shrinks");
    assert!(by_policy.message.contains("does not allow access to namespace payments"), "{by_policy:?}");
}

#[test]
fn what_waits_is_not_cut_to_what_is_left() {
    let waits = |change: fn(&mut Fixture)| {
        with(|f| {
            f.asked.scope = Some(namespaces(&["payments", "canary"]));
            f.asked.progress = Progress::Accepted;
            change(f);
        })
    };
    assert!(waits(|_| ()).is_ok());
    assert_eq!(waits(|f| f.template().scope = namespaces(&["canary"])).expect_err("the role shrinks").reason, Reason::WiderScope);
    assert_eq!(
        waits(|f| f.assignments[0].scope = Some(namespaces(&["canary"]))).expect_err("so does the assignment").reason,
        Reason::WiderScope
    );
    // Once a request is to be granted it is resolved again in the same way, until its Grant has been active.
    let about_to_begin = waits(|f| {
        f.asked.progress = Progress::Granted(NOW.plus_secs(600));
        f.template().scope = namespaces(&["canary"]);
    });
    assert_eq!(about_to_begin.expect_err("wider than the role").reason, Reason::WiderScope);
}

#[test]
fn the_places_of_narrower_scopes_are_read_too() {
    let all = |scope: &ScopeByProvider| scope.of(ProviderKind::Kubernetes).unwrap();
    let read = all(&cluster_wide()).naming(&[all(&namespaces(&["b", "a"])), all(&cluster_wide()), all(&namespaces(&["a"]))]);
    assert_eq!(read, all(&namespaces(&["a", "b"])));
    assert_eq!(all(&cluster_wide()).naming(&[]), all(&cluster_wide()));
    assert_eq!(all(&namespaces(&["c"])).naming(&[elsewhere().of(ProviderKind::Aws).unwrap()]), all(&namespaces(&["c"])));
}

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
    fn some<'a>(&mut self, all: &[&'a str]) -> Vec<&'a str> {
        let mut chosen: Vec<&str> = all.iter().filter(|_| self.below(2) == 0).copied().collect();
        if chosen.is_empty() {
            chosen.push(all[self.below(all.len())]);
        }
        chosen
    }
    fn scope(&mut self, names: &[&str]) -> Option<ScopeByProvider> {
        match self.below(8) {
            0 => None,
            1 => Some(cluster_wide()),
            _ => Some(namespaces(&self.some(names))),
        }
    }
    fn permissions(&mut self, names: &[&str]) -> Option<PermissionsByProvider> {
        (self.below(4) > 0).then(|| roles(&self.some(names)))
    }
}

/// What a grant gives, thing by thing: role and namespace; `*` is what has no namespace.
fn things(roles: &[String], places: &[String], universe: &[&str]) -> Vec<(String, String)> {
    let everywhere = places.iter().any(|place| place == "*");
    let reached = universe.iter().filter(|place| everywhere || places.iter().any(|p| p == **place));
    let mut all: Vec<_> = reached.flat_map(|place| roles.iter().map(|role| (role.clone(), (*place).to_owned()))).collect();
    all.sort();
    all
}

#[test]
fn what_is_accepted_gives_exactly_what_was_asked_and_nothing_that_role_or_assignment_do_not() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    const ROLES: [&str; 3] = ["admin", "edit", "view"];
    const UNIVERSE: [&str; 4] = ["a", "b", "c", "*"];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut f = fixture();
        let admin = f.kubernetes().roles[0].clone();
        f.kubernetes().roles = ROLES.iter().map(|name| RoleContent { name: (*name).into(), ..admin.clone() }).collect();
        f.kubernetes().namespaces = NAMES.iter().map(|name| Ref { name: (*name).into(), uid: (*name).into() }).collect();
        (f.policies[0].permissions, f.policies[0].scope, f.policies[0].persistence) = (roles(&ROLES), cluster_wide(), true);
        f.template().scope = random.scope(&NAMES).unwrap_or_else(cluster_wide);
        f.template().permissions = random.permissions(&ROLES).unwrap_or_else(|| roles(&ROLES));
        f.assignments[0].scope = random.scope(&NAMES);
        f.assignments[0].permissions = random.permissions(&ROLES);
        f.asked.scope = random.scope(&NAMES);
        f.asked.permissions = random.permissions(&ROLES);
        let of = |scope: &ScopeByProvider, permissions: &PermissionsByProvider| {
            let places = match scope.kubernetes.as_ref().unwrap() {
                kubernetes::Scope::ClusterWide(_) => vec!["*".to_owned()],
                kubernetes::Scope::Namespaces(names) => names.clone(),
            };
            things(&permissions.kubernetes.as_ref().unwrap().cluster_roles, &places, &UNIVERSE)
        };
        let (t, e) = (f.template.clone().unwrap(), f.assignments[0].clone());
        let role = of(&t.scope, &t.permissions);
        let assigned = of(e.scope.as_ref().unwrap_or(&t.scope), e.permissions.as_ref().unwrap_or(&t.permissions));
        let asked = of(
            f.asked.scope.as_ref().or(e.scope.as_ref()).unwrap_or(&t.scope),
            f.asked.permissions.as_ref().or(e.permissions.as_ref()).unwrap_or(&t.permissions),
        );
        let within = |inner: &[(String, String)], outer: &[(String, String)]| inner.iter().all(|thing| outer.contains(thing));
        match resolve(&f.asked, &f.inputs()) {
            Ok(terms) => {
                let (names, places) = granted(&terms);
                let given = things(&names, &places, &UNIVERSE);
                assert_eq!(given, asked, "what was asked for is granted: {:?} of {e:?} of {t:?}", f.asked.scope);
                assert!(within(&given, &role) && within(&given, &assigned), "{given:?} is more than {role:?} or {assigned:?}");
                accepted += 1;
            }
            Err(refusal) => {
                assert!(!(within(&assigned, &role) && within(&asked, &assigned)), "{asked:?} of {assigned:?} of {role:?}: {refusal:?}");
                refused += 1;
            }
        }
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
}
