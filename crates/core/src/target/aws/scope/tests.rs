use super::*;

fn scope(regions: &[&str], resources: &[&str]) -> Scope {
    let list = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let account = (regions.is_empty() && resources.is_empty()).then_some(Empty {});
    Scope { account, regions: list(regions), resources: list(resources) }
}

#[test]
fn a_scope_never_widens() {
    let (all, west) = (Scope::account(), scope(&["eu-west-1"], &[]));
    assert_eq!(beyond(&all, &all), None);
    assert_eq!(beyond(&west, &all), None);
    assert_eq!(beyond(&all, &west), Some("every region".into()));
    assert_eq!(beyond(&scope(&["eu-west-1", "us-east-1"], &[]), &west), Some("region us-east-1".into()));
    assert_eq!(beyond(&scope(&["eu-west-1"], &["arn:aws:s3:::a"]), &west), None);
    let bucket = scope(&[], &["arn:aws:s3:::a/*"]);
    assert_eq!(beyond(&west, &bucket), Some("every resource".into()));
    assert_eq!(beyond(&scope(&[], &["arn:aws:s3:::a/b/*"]), &bucket), None);
    assert_eq!(beyond(&scope(&[], &["arn:aws:s3:::*"]), &bucket), Some("resource arn:aws:s3:::*".into()));
}

#[test]
fn what_two_scopes_share_is_inside_of_both() {
    let list = [
        Scope::account(),
        scope(&["eu-west-1"], &[]),
        scope(&["eu-west-1", "us-east-1"], &[]),
        scope(&["us-east-1"], &["arn:aws:s3:::a/*"]),
        scope(&[], &["arn:aws:s3:::a/*", "arn:aws:s3:::b"]),
        scope(&[], &["arn:aws:s3:::a/b*"]),
        scope(&[], &["arn:aws:s3:::*c"]),
    ];
    for (a, b) in list.iter().flat_map(|a| list.iter().map(move |b| (a, b))) {
        let Some(both) = intersection(a, b) else { continue };
        assert_eq!((beyond(&both, a), beyond(&both, b)), (None, None), "{a:?} and {b:?}");
        assert_eq!(both.account.is_some(), both.regions.is_empty() && both.resources.is_empty());
    }
    assert_eq!(intersection(&list[3], &list[5]), Some(scope(&["us-east-1"], &["arn:aws:s3:::a/b*"])));
    assert_eq!(intersection(&list[1], &list[3]), None);
    assert_eq!(intersection(&list[5], &list[6]), None, "an overlap that no pattern stands for");
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
    fn one<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
    fn scope(&mut self, names: &[&str]) -> Scope {
        let mut regions: Vec<&str> = (0..self.below(3)).map(|_| self.one(&REGIONS)).collect();
        regions.sort_unstable();
        regions.dedup();
        let resources: Vec<String> = (0..self.below(4)).map(|_| self.resource(names)).collect();
        scope(&regions, &resources.iter().map(String::as_str).collect::<Vec<_>>())
    }
    fn resource(&mut self, names: &[&str]) -> String {
        format!(
            "arn:aws:{}:{}:{}:{}",
            self.one(&["s3", "sqs", "s*"]),
            self.one(&["", "eu-west-1", "*"]),
            self.one(&["", "1"]),
            self.one(names)
        )
    }
}

const REGIONS: [&str; 3] = ["eu-west-1", "eu-west-2", "us-east-1"];
const NAMES: [&str; 10] = ["a", "b", "ab", "a*", "*b", "a*b", "?b", "*", "a/b", "a/*"];

/// The one form of scopes that reach the same: no pattern lies within another one.
fn canonical(s: &Scope) -> Scope {
    let mut resources: Vec<String> = s.resources.clone();
    resources.sort();
    resources.dedup();
    let all = resources.clone();
    resources.retain(|r| !all.iter().any(|other| other != r && resource_covers(other, r)));
    let mut regions = s.regions.clone();
    regions.sort();
    Scope { resources, regions, ..s.clone() }
}

/// Whether a text fits a pattern in which `*` stands for any text and `?` for any character, regardless of the parts of an ARN.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => fits(rest, text) || text.split_first().is_some_and(|(_, text)| fits(pattern, text)),
        ([b'?', rest @ ..], [_, text @ ..]) => fits(rest, text),
        ([p, rest @ ..], [t, text @ ..]) => p == t && fits(rest, text),
        _ => false,
    }
}

/// Whether a scope reaches this resource in this region.
fn reaches(s: &Scope, region: &str, arn: &str) -> bool {
    (s.regions.is_empty() || s.regions.iter().any(|r| r == region))
        && (s.resources.is_empty() || s.resources.iter().any(|r| fits(r.as_bytes(), arn.as_bytes())))
}

/// Resources by name, those among them whose names look like other parts of an ARN.
fn targets() -> Vec<String> {
    let names = ["a", "b", "ab", "axb", "zb", "a/b", "a/x", "a:b", "x:1:a", ""];
    let of = |service: &'static str| {
        let regions = ["", "eu-west-1", "us-east-1"].into_iter();
        regions.flat_map(move |region| ["", "1"].into_iter().map(move |account| format!("arn:aws:{service}:{region}:{account}:")))
    };
    ["s3", "sqs", "sns"].into_iter().flat_map(of).flat_map(|head| names.iter().map(move |name| format!("{head}{name}"))).collect()
}

#[test]
fn to_lie_within_is_an_order_of_scopes() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut chains, mut same) = (0, 0);
    for _ in 0..60_000 {
        let [a, b, c] = [(); 3].map(|()| random.scope(&[&NAMES[..], &["${aws:username}/x", "${aws:username}"]].concat()));
        assert_eq!(beyond(&a, &a), None, "{a:?} lies within itself");
        let within = |inner: &Scope, outer: &Scope| beyond(inner, outer).is_none();
        if within(&a, &b) && within(&b, &c) {
            assert!(within(&a, &c), "{a:?} in {b:?} in {c:?}");
            chains += 1;
        }
        if within(&a, &b) && within(&b, &a) {
            assert_eq!(canonical(&a), canonical(&b));
            same += 1;
        }
    }
    assert!(chains > 300 && same > 100, "{chains} chains, {same} pairs");
}

#[test]
fn a_scope_within_another_one_reaches_nothing_that_the_other_does_not() {
    let (mut random, targets) = (Random(0x9e37_79b9_7f4a_7c15), targets());
    let (mut within, mut proper) = (0, 0);
    for _ in 0..4_000 {
        let (a, b) = (random.scope(&NAMES), random.scope(&NAMES));
        let subset = |s: &Scope| {
            let mut all = REGIONS.iter().flat_map(|region| targets.iter().map(move |arn| (region, arn)));
            all.all(|(region, arn)| !reaches(s, region, arn) || reaches(&b, region, arn))
        };
        if beyond(&a, &b).is_none() {
            assert!(subset(&a), "{a:?} reaches more than {b:?}");
            within += 1;
            proper += usize::from(canonical(&a) != canonical(&b));
        }
        if let Some(both) = intersection(&a, &b) {
            assert!(subset(&both), "what {a:?} and {b:?} share is {both:?}");
            assert_eq!((beyond(&both, &a), beyond(&both, &b)), (None, None));
        }
    }
    assert!(within > 200 && proper > 50, "{within} within, {proper} of them less");
}

#[test]
fn a_scope_is_told_as_it_is_written() {
    assert_eq!(reach_in_words(&Scope::account()), "the whole account");
    assert_eq!(reach_in_words(&scope(&["eu-west-1"], &["arn:aws:s3:::a"])), "regions eu-west-1 with resources arn:aws:s3:::a");
}
