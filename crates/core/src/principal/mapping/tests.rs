use super::*;
use crate::principal::ServiceAccount;

fn mapping(source: Source, prefix: Option<&str>, suffix: Option<&str>) -> Mapping {
    Mapping { source, strip_prefix: prefix.map(Into::into), strip_suffix: suffix.map(Into::into) }
}

fn name(mapping: Option<&Mapping>, login: Option<&UserInfo>, holder: &Subject) -> Result<String, String> {
    let keys = ["curfew.dev/aws-user".to_owned()];
    Mapped { system: "prod", mapping, login, alias_keys: Some(&keys) }.name(holder)
}

fn user(name: &str) -> Subject {
    Subject::User(name.into())
}

#[test]
fn a_prefix_and_a_suffix_that_are_removed_must_be_there() {
    let both = mapping(Source::Username, Some("oidc:"), Some("@example.com"));
    assert_eq!(name(Some(&both), None, &user("oidc:alice@example.com")).as_deref(), Ok("alice"));
    for (wrong, expected) in [
        ("alice@example.com", "alice@example.com does not begin with oidc:, which system prod removes, so it is not a principal there"),
        ("oidc:alice", "oidc:alice does not end with @example.com, which system prod removes, so it is not a principal there"),
        ("oidc:@example.com", "nothing is left of oidc:@example.com for system prod, so it is not a principal there"),
        (
            "oidc:a@example.co",
            "oidc:a@example.co does not end with @example.com, which system prod removes, so it is not a principal there",
        ),
    ] {
        assert_eq!(name(Some(&both), None, &user(wrong)).unwrap_err(), expected);
    }
    let account = Subject::ServiceAccount(ServiceAccount { namespace: "ci".into(), name: "bot".into() });
    let of_accounts = mapping(Source::Username, Some("system:serviceaccount:ci:"), None);
    assert_eq!(name(Some(&of_accounts), None, &account).as_deref(), Ok("bot"));
    assert!(name(None, None, &user("alice")).unwrap_err().starts_with("system prod does not say which principal user alice is there"));
}

#[test]
fn different_names_stay_different() {
    let both = mapping(Source::Username, Some("a"), Some("b"));
    let names = ["ab", "aab", "abb", "aabb", "b", "a", "", "axb", "ayb"];
    for (x, y) in names.iter().flat_map(|x| names.iter().map(move |y| (x, y))).filter(|(x, y)| x != y) {
        let of = |text: &str| name(Some(&both), None, &user(text)).ok();
        assert!(of(x).is_none() || of(x) != of(y), "{x} and {y}");
    }
}

#[test]
fn an_extra_key_has_one_value_and_is_an_alias() {
    let key = "curfew.dev/aws-user";
    let of_key = |key: &str| mapping(Source::ExtraKey(key.into()), None, None);
    let login = |values: &[&str]| {
        let values = values.iter().map(ToString::to_string).collect();
        UserInfo { username: "alice".into(), extra: [(key.to_owned(), values)].into(), ..UserInfo::default() }
    };
    let of = |login: &UserInfo| name(Some(&of_key(key)), Some(login), &user("alice"));
    assert_eq!(of(&login(&["a.smith"])).as_deref(), Ok("a.smith"));
    assert!(of(&login(&[])).unwrap_err().contains("has no extra key curfew.dev/aws-user"));
    assert!(of(&UserInfo::default()).unwrap_err().contains("has no extra key"));
    assert!(of(&login(&["a", "b"])).unwrap_err().contains("has 2 values of extra key"));
    let unknown = name(Some(&of_key(key)), None, &user("alice")).unwrap_err();
    assert!(unknown.ends_with("user alice must create the request"), "{unknown}");
    let other = of_key("curfew.dev/other");
    let said = name(Some(&other), Some(&login(&["a"])), &user("alice")).unwrap_err();
    assert!(said.contains("must be one of identity.aliases.keys in CurfewConfig"), "{said}");
    // What is active goes on under another configuration.
    let active = Mapped { system: "prod", mapping: Some(&of_key(key)), login: Some(&login(&["a"])), alias_keys: None };
    assert_eq!(active.name(&user("alice")).as_deref(), Ok("a"));
}
