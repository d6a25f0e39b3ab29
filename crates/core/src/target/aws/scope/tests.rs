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
