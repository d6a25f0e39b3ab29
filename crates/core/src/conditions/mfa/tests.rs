use super::*;
use std::sync::Arc;

const AUTHENTICATED: i64 = 1_795_385_347;

fn keys() -> Keys {
    let list = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Keys { methods_key: "curfew.dev/amr".into(), methods: list(&["mfa", "otp", "hwk"]), time_key: "curfew.dev/auth-time".into() }
}

/// What a login carries under each key.
type Extra<'a> = &'a [(&'a str, &'a [&'a str])];

fn login(extra: Extra<'_>) -> UserInfo {
    let values = |values: &&[&str]| values.iter().map(ToString::to_string).collect();
    UserInfo {
        username: "alice@example.com".into(),
        extra: extra.iter().map(|(key, list)| (key.to_string(), values(list))).collect(),
        ..UserInfo::default()
    }
}

fn with(methods: &[&str], times: &[&str]) -> UserInfo {
    login(&[("curfew.dev/amr", methods), ("curfew.dev/auth-time", times)])
}

fn fresh(login: &UserInfo) -> Result<(), Lack> {
    check(Some(&keys()), login, &Duration::from_secs(900), Time::from_secs(AUTHENTICATED))
}

#[test]
fn both_bounds_of_freshness_are_inclusive_at_every_second() {
    let own = with(&["mfa"], &["1795385347"]);
    for max_age in [1, 60, 900] {
        for age in -30..max_age + 30 {
            let created = Time::from_secs(AUTHENTICATED + age);
            let found = check(Some(&keys()), &own, &Duration::from_secs(u32::try_from(max_age).unwrap()), created);
            match age {
                ..-10 => assert_eq!(found, Err(Lack::InFuture(Time::from_secs(AUTHENTICATED), -age)), "{age}"),
                _ if age > max_age => assert_eq!(found, Err(Lack::TooOld(Time::from_secs(AUTHENTICATED), age)), "{age}"),
                _ => assert_eq!(found, Ok(()), "{age} of {max_age}"),
            }
            let age_there = age_at(Some(&keys()), &own, created);
            assert_eq!(age_there.ok(), (age >= -10).then_some(age * 1000), "the age does not depend on the limit");
        }
    }
}

#[test]
fn a_millisecond_past_a_bound_is_past_it() {
    let (own, limit) = (with(&["mfa"], &["1795385347"]), Duration::from_secs(900));
    for (millis, allowed) in [(-10_001, false), (-10_000, true), (900_000, true), (900_001, false)] {
        let created = Time::from_millis(AUTHENTICATED * 1000 + millis);
        assert_eq!(check(Some(&keys()), &own, &limit, created).is_ok(), allowed, "{millis}");
    }
    let late = check(Some(&keys()), &own, &limit, Time::from_millis(AUTHENTICATED * 1000 + 900_001)).unwrap_err();
    assert_eq!(late, Lack::TooOld(Time::from_secs(AUTHENTICATED), 901), "what exceeds the limit is shown to exceed it");
}

#[test]
fn one_accepted_method_is_enough_in_every_form_of_the_claim() {
    for methods in [&["mfa"][..], &["pwd", "otp"], &["[\"pwd\",\"mfa\"]"], &["pwd hwk"], &[" ", "mfa"]] {
        assert_eq!(fresh(&with(methods, &["1795385347"])), Ok(()), "{methods:?}");
    }
    for methods in [&["pwd"][..], &["MFA"], &["mfa2"], &["otp,pwd"], &["\"mfa\""], &["[\"MFA\"]"]] {
        assert!(matches!(fresh(&with(methods, &["1795385347"])), Err(Lack::OtherMethods(..))), "{methods:?}");
    }
    for methods in [&[][..], &[""], &[" "], &["\u{200b}"], &["[]"]] {
        assert!(matches!(fresh(&with(methods, &["1795385347"])), Err(Lack::NoMethods(_))), "{methods:?}");
    }
    for methods in [&["[mfa]"][..], &["[\"mfa\""], &["mfa", "[1]"], &["[[\"mfa\"]]"], &["[\"mfa\"] otp"]] {
        assert!(matches!(fresh(&with(methods, &["1795385347"])), Err(Lack::UnreadableMethods(..))), "{methods:?}");
    }
}

#[test]
fn a_time_is_one_number_of_seconds() {
    let same = ["1795385347", " 1795385347 ", "1795385347.0", "1795385347.999", "1.795385347e+09", "17.95385347e+08", "1.7953853479e+09"];
    for time in same {
        assert_eq!(authenticated_at(Some(&keys()), &with(&["mfa"], &[time])), Ok(Time::from_secs(AUTHENTICATED)), "{time}");
    }
    // As CEL writes 1795385340: without the zeros at the end.
    assert_eq!(unix_seconds("1.79538534e+09"), Some(1_795_385_340));
    assert_eq!((unix_seconds("0"), unix_seconds("99999999999")), (Some(0), Some(99_999_999_999)));
    let unreadable = [
        "1h ago",
        "2026-11-23T08:00:00Z",
        "-1795385347",
        "+1795385347",
        "1795385347000",
        "1.795385347e+12",
        "1.795385347e9",
        "1.795385347E+09",
        "1e+99",
        "1e+",
        "e+09",
        ".5",
        "5.",
        "1.2.3",
        "0x6b03",
        "1_795_385_347",
        "1795385347 1795385347",
        "[1795385347]",
        "NaN",
        "\u{661}\u{662}",
        "1e+18446744073709551616",
    ];
    for time in unreadable {
        assert_eq!(fresh(&with(&["mfa"], &[time])), Err(Lack::UnreadableTime(keys(), time.into())), "{time}");
    }
    assert!(matches!(fresh(&with(&["mfa"], &[])), Err(Lack::NoTime(_))));
    assert!(matches!(fresh(&with(&["mfa"], &[" ", ""])), Err(Lack::NoTime(_))));
    for times in [&["1795385347", "1795385347"][..], &["1795385347", "1"], &["1", "2", "3"]] {
        assert_eq!(fresh(&with(&["mfa"], times)), Err(Lack::SeveralTimes(keys(), times.len())), "{times:?}");
    }
    assert_eq!(fresh(&with(&["mfa"], &["", "1795385347"])), Ok(()), "a blank value is absent");
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
}

/// No text makes it panic, and what is read as a time is the number that the text begins with.
#[test]
fn any_text_is_read_as_its_number_or_refused() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..200_000 {
        let length = random.below(16);
        let text: String = (0..length).map(|_| char::from(b"0123456789.e+- [\"xE"[random.below(19)])).collect();
        if let Some(secs) = unix_seconds(&text) {
            let exact: f64 = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!((secs as f64 - exact.floor()).abs() < 1.0, "{text} is read as {secs}");
        }
        let _ = fresh(&with(&["mfa"], &[&text]));
        let _ = fresh(&with(&[&text], &["1795385347"]));
    }
}

/// A login, where it comes from, and whether it has MFA.
type Case<'a> = (&'a str, Extra<'a>, fn(&Result<(), Lack>) -> bool);

/// What arrives at the API server with the logins of managed clusters, as the API server records it while these keys are configured: an
/// empty list for each key that the login lacks.
#[test]
fn logins_of_managed_clusters_have_mfa_only_where_their_claims_say_so() {
    let passes: fn(&Result<(), Lack>) -> bool = |found| found.is_ok();
    let no_methods: fn(&Result<(), Lack>) -> bool = |found| matches!(found, Err(Lack::NoMethods(_)));
    let cases: &[Case<'_>] = &[
        (
            "structured authentication: lists and a number in CEL's notation",
            &[("curfew.dev/amr", &["pwd", "otp", "mfa"]), ("curfew.dev/auth-time", &["1.795385347e+09"])],
            passes,
        ),
        (
            "AKS with a JWT authenticator: amr of Entra as a list, auth_time as a whole number",
            &[("curfew.dev/amr", &["pwd", "mfa"]), ("curfew.dev/auth-time", &["1795385347"])],
            passes,
        ),
        (
            "a proxy that sends the claim as JSON",
            &[("curfew.dev/amr", &["[\"pwd\",\"mfa\"]"]), ("curfew.dev/auth-time", &["1795385347"])],
            passes,
        ),
        // Groups beyond the limit of a token are left out of it (`hasgroups`), which changes nothing about the methods.
        (
            "Azure with more groups than a token holds",
            &[("curfew.dev/amr", &["pwd", "mfa"]), ("curfew.dev/auth-time", &["1795385347"]), ("curfew.dev/hasgroups", &["true"])],
            passes,
        ),
        (
            "AKS with Entra integration: an object id and no claims",
            &[("oid", &["8a7b"]), ("curfew.dev/amr", &[]), ("curfew.dev/auth-time", &[])],
            no_methods,
        ),
        (
            "EKS: the session of a role",
            &[
                ("arn", &["arn:aws:sts::111122223333:assumed-role/Ops/alice"]),
                ("sessionName", &["alice"]),
                ("curfew.dev/amr", &[]),
                ("curfew.dev/auth-time", &[]),
            ],
            no_methods,
        ),
        (
            "EKS with an OIDC identity provider: user name and groups alone",
            &[("curfew.dev/amr", &[]), ("curfew.dev/auth-time", &[])],
            no_methods,
        ),
        (
            "GKE: a Google account",
            &[
                ("iam.gke.io/user-assertion", &["token"]),
                ("user-assertion.cloud.google.com", &["token"]),
                ("curfew.dev/amr", &[]),
                ("curfew.dev/auth-time", &[]),
            ],
            no_methods,
        ),
        (
            "a client certificate",
            &[("authentication.kubernetes.io/credential-id", &["X509SHA256=0"]), ("curfew.dev/amr", &[]), ("curfew.dev/auth-time", &[])],
            no_methods,
        ),
        (
            "Entra after a login with a password alone",
            &[("curfew.dev/amr", &["pwd"]), ("curfew.dev/auth-time", &["1795385347"])],
            |found| matches!(found, Err(Lack::OtherMethods(_, methods)) if *methods == ["pwd"]),
        ),
        ("a token without auth_time", &[("curfew.dev/amr", &["mfa"]), ("curfew.dev/auth-time", &[])], |found| {
            matches!(found, Err(Lack::NoTime(_)))
        }),
        (
            "recorded before the keys were configured",
            &[],
            |found| matches!(found, Err(Lack::NotRecorded(keys)) if *keys == ["curfew.dev/amr", "curfew.dev/auth-time"]),
        ),
        (
            "recorded before one of the keys was configured",
            &[("curfew.dev/amr", &["mfa"])],
            |found| matches!(found, Err(Lack::NotRecorded(keys)) if *keys == ["curfew.dev/auth-time"]),
        ),
    ];
    for (case, extra, expected) in cases {
        let found = fresh(&login(extra));
        assert!(expected(&found), "{case}: {found:?}");
    }
}

#[test]
fn without_configured_keys_and_for_what_is_not_a_person_nothing_is_proven() {
    let own = with(&["mfa"], &["1795385347"]);
    assert_eq!(authenticated_at(None, &own), Err(Lack::NotConfigured));
    let account = UserInfo { username: "system:serviceaccount:ci:bot".into(), groups: Arc::default(), ..own };
    assert!(matches!(fresh(&account), Err(Lack::NotAPerson(_))), "regardless of what its extra says");
}
