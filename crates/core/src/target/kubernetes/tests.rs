use super::*;

fn namespaces(names: &[&str]) -> Scope {
    Scope::Namespaces(names.iter().map(|n| n.to_string()).collect())
}
const CLUSTER_WIDE: Scope = Scope::ClusterWide(Empty {});

#[test]
fn a_scope_never_widens() {
    assert_eq!(beyond(&namespaces(&["a"]), &namespaces(&["a", "b"])), None);
    assert_eq!(beyond(&namespaces(&["a", "c"]), &namespaces(&["a", "b"])), Some("namespace c".into()));
    assert_eq!(beyond(&CLUSTER_WIDE, &namespaces(&["a"])), Some("the whole cluster".into()));
    assert_eq!(beyond(&CLUSTER_WIDE, &CLUSTER_WIDE), None);
    assert_eq!(intersection(&namespaces(&["a", "b"]), &namespaces(&["b", "c"])), Some(namespaces(&["b"])));
    assert_eq!(intersection(&namespaces(&["a"]), &namespaces(&["b"])), None);
    assert_eq!(intersection(&CLUSTER_WIDE, &namespaces(&["a"])), Some(namespaces(&["a"])));
}

#[test]
fn to_lie_within_is_an_order_of_scopes() {
    // Every scope over three namespaces; `-` stands for what has no namespace.
    let lists = (1..8_u8).map(|bits| ["a", "b", "c"].into_iter().enumerate().filter(move |(i, _)| bits & (1 << i) != 0).map(|(_, n)| n));
    let all: Vec<Scope> = lists.map(|names| namespaces(&names.collect::<Vec<_>>())).chain([CLUSTER_WIDE]).collect();
    let reached = |s: &Scope| -> Vec<&str> {
        ["a", "b", "c", "-"]
            .into_iter()
            .filter(|n| matches!(s, Scope::ClusterWide(_)) || s.namespaces().iter().any(|own| own == n))
            .collect()
    };
    for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
        let subset = |inner: &Scope, outer: &Scope| reached(inner).iter().all(|n| reached(outer).contains(n));
        assert_eq!(beyond(a, b).is_none(), subset(a, b), "{a:?} in {b:?}");
        assert_eq!(beyond(a, b).is_none() && beyond(b, a).is_none(), a == b);
        match intersection(a, b) {
            Some(both) => assert_eq!((beyond(&both, a), beyond(&both, b)), (None, None)),
            None => assert!(!reached(a).iter().any(|n| reached(b).contains(n))),
        }
        for c in all.iter().filter(|c| beyond(a, b).is_none() && beyond(b, c).is_none()) {
            assert_eq!(beyond(a, c), None, "{a:?} in {b:?} in {c:?}");
        }
    }
}

#[test]
fn a_star_is_a_whole_last_segment_or_everything() {
    assert!(patterns::allows("view", "view") && !patterns::allows("view", "viewer"));
    assert!(patterns::allows("payments:*", "payments:admin"));
    assert!(!patterns::allows("payments:*", "payments:a:b") && !patterns::allows("payments:*", "payments:"));
    assert!(!patterns::allows("pay*", "payments"), "a star inside a segment is not a pattern");
    assert!(patterns::allows("*", "anything:at/all"));
}

#[test]
fn a_star_that_stands_for_nothing_is_found() {
    let wrong = |name: &str| {
        let role = RoleName { namespace: "n".into(), name: name.into() };
        let all = [
            Permissions { cluster_roles: vec!["view".into(), name.into()], ..Permissions::default() },
            Permissions { roles: vec![role], ..Permissions::default() },
        ];
        all.map(|p| not_a_pattern(&p).is_some())
    };
    for name in ["view", "*", "payments:*", "a.b/*", "system:aggregate-to-view"] {
        assert_eq!(wrong(name), [false; 2], "{name}");
    }
    for name in ["custom*", "*-admin", "pay*ments", "payments:*:admin", "**", "payments:a*"] {
        assert_eq!(wrong(name), [true; 2], "{name}");
    }
}
