use super::*;

/// Every text of at most so many of these characters.
fn texts(alphabet: &str, most: usize) -> Vec<String> {
    let (mut all, mut last) = (vec![String::new()], vec![String::new()]);
    for _ in 0..most {
        last = last.iter().flat_map(|text| alphabet.chars().map(move |c| format!("{text}{c}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// The meaning of a pattern, as directly as it can be written.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => fits(&pattern[1..], text) || !text.is_empty() && fits(pattern, &text[1..]),
        Some('?') => !text.is_empty() && fits(&pattern[1..], &text[1..]),
        Some(c) => text.starts_with(c) && fits(&pattern[1..], &text[1..]),
    }
}

#[test]
fn what_is_covered_and_what_overlaps_is_so_for_every_text() {
    let (patterns, all) = (texts("ab*?", 3), texts("ab", 5));
    let meant: Vec<Vec<bool>> = patterns.iter().map(|p| all.iter().map(|text| fits(p, text)).collect()).collect();
    for (i, a) in patterns.iter().enumerate() {
        for (j, b) in patterns.iter().enumerate() {
            let inside = meant[i].iter().zip(&meant[j]).all(|(general, specific)| *general || !specific);
            let common = meant[i].iter().zip(&meant[j]).any(|(general, specific)| *general && *specific);
            assert!(!covers(a, b) || inside, "{a:?} does not cover {b:?}");
            assert_eq!(overlaps(a, b), common, "{a:?} and {b:?}");
        }
    }
    // Careful, but not useless.
    for (general, specific) in [("*", "a*b"), ("a*", "a?*"), ("a?", "ab"), ("*a*", "bab"), ("*", ""), ("a*", "a*")] {
        assert!(covers(general, specific), "{general} and {specific}");
    }
}

#[test]
fn actions_are_compared_regardless_of_case() {
    let of = |list: &[&str]| Actions::of(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
    for (general, specific) in [("S3:get*", "s3:GetObject"), ("*", "s3:*"), ("*", "*"), ("s3:*", "s3:Get?bject"), ("s*:*", "s3:GetObject")]
    {
        assert!(of(&["ec2:*", general]).cover(specific) && of(&[general]).overlap(specific), "{general} and {specific}");
    }
    for (general, specific) in
        [("s3:Get*", "s3:*"), ("s3:GetObject", "s3:GetObjectAcl"), ("s3:*", "*"), ("s3:*", "s*:Get"), ("ec2:*", "s3:Get")]
    {
        assert!(!of(&[general]).cover(specific), "{general} and {specific}");
    }
    for (a, b) in [("iam:*Key", "IAM:createAccess*"), ("s3:*", "*"), ("s3:*", "s*:Get"), ("*:Get", "s3:g*")] {
        assert!(of(&[a]).overlap(b) && of(&[b]).overlap(a), "{a} and {b}");
    }
    assert!(!of(&["iam:Get*", "s3:*"]).overlap("iam:Create*"));
}

#[test]
fn resources_are_compared_part_by_part() {
    for (general, specific) in [
        ("*", "arn:aws:s3:::a"),
        ("arn:aws:s3:::a/*", "arn:aws:s3:::a/b/c"),
        ("arn:aws:s3:::a/*", "arn:aws:s3:::a/${aws:username}/*"),
        ("arn:aws:s3:::${aws:username}", "arn:aws:s3:::${aws:username}"),
        // AWS completes what is not said.
        ("arn:aws:sqs", "arn:aws:sqs:eu-west-1:123456789012:queue"),
        ("arn:aws:ec2:*:123456789012:instance/*", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1"),
        ("arn:aws:lambda:*:*:function:*", "arn:aws:lambda:eu-west-1:123456789012:function:f:live"),
    ] {
        assert!(resource_covers(general, specific), "{general} and {specific}");
        assert!(resource_overlaps(general, specific), "{general} and {specific}");
    }
    for (general, specific) in [
        ("arn:aws:s3:::a", "*"),
        ("arn:aws:s3:::A", "arn:aws:s3:::a"),
        ("arn:aws:s3:::a/*", "arn:aws:s3:::a*"),
        ("arn:aws:s3:::home/alice", "arn:aws:s3:::home/${aws:username}"),
        ("arn:aws:s3:::${aws:username}", "arn:aws:s3:::alice"),
        ("arn:aws:s3:::${aws:username}", "arn:aws:s3:::${aws:userid}"),
        ("arn:aws:sqs:eu-west-1:123456789012:queue", "arn:aws:sqs"),
        // A `*` stays inside of its part.
        ("arn:aws:ec2:*:instance/*", "arn:aws:ec2:eu-west-1:123456789012:instance/i-1"),
    ] {
        assert!(!resource_covers(general, specific), "{general} and {specific}");
    }
    assert!(resource_overlaps("arn:aws:s3:::home/alice", "arn:aws:s3:::home/${aws:username}"), "the variable may be alice");
    assert!(!resource_overlaps("arn:aws:s3:::a/*", "arn:aws:s3:::b/*"));
}

#[test]
fn what_two_resources_have_in_common_is_exact_or_refused() {
    let of = |a: &str, b: &str| {
        let both = resource_intersection(a, b);
        assert_eq!(both, resource_intersection(b, a), "{a} and {b}");
        both
    };
    let some = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(of("*", "arn:aws:s3:::a"), some("arn:aws:s3:::a"));
    assert_eq!(of("arn:aws:s3:::a/*", "arn:aws:s3:::a/b*"), some("arn:aws:s3:::a/b*"));
    assert_eq!(of("arn:aws:s3:::a/*", "arn:aws:s3:::b/*"), Ok(None));
    assert_eq!(
        of("arn:aws:ec2:eu-west-1:*:instance/*", "arn:aws:ec2:*:123456789012:*"),
        some("arn:aws:ec2:eu-west-1:123456789012:instance/*"),
        "each part of one is inside of that of the other"
    );
    assert_eq!(of("arn:aws:s3:::a*", "arn:aws:s3:::*b"), Err(Inexact), "ab, and aXb, and no single pattern for both");
    assert_eq!(of("arn:aws:s3:::home/${aws:username}", "arn:aws:s3:::home/alice"), Err(Inexact));
}

/// Only texts that fit both fit what both have in common.
#[test]
fn what_two_resources_have_in_common_holds_for_every_resource() {
    let arn = |text: &String| format!("arn:aws:s3:::{text}");
    let (patterns, all) = (texts("ab*?", 3), texts("ab", 4));
    for (a, b) in patterns.iter().flat_map(|a| patterns.iter().map(move |b| (a, b))) {
        let Ok(both) = resource_intersection(&arn(a), &arn(b)) else { continue };
        for text in &all {
            let expected = fits(a, text) && fits(b, text);
            let found = both.as_ref().is_some_and(|both| fits(both, &arn(text)));
            assert_eq!(found, expected, "{text} in {both:?} of {a} and {b}");
        }
    }
}
