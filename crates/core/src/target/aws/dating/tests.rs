use super::*;
use serde_json::{Value, json};

const DEADLINE: &str = "2026-11-23T08:15:00Z";

/// The conditions of a statement that had these, with a deadline.
fn conditions(before: &Value) -> Option<Value> {
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": before});
    let document = Document::from_value(&json!({"Version": "2012-10-17", "Statement": statement})).unwrap();
    let dated = dated(&document, Time::parse(DEADLINE).unwrap()).ok()?;
    Some(dated.statements()[0].rule.to_json()["Condition"].clone())
}

#[test]
fn the_date_stands_beside_other_conditions() {
    assert_eq!(conditions(&json!({})), Some(json!({"DateLessThan": {"aws:CurrentTime": DEADLINE}})));
    let other = json!({"StringEquals": {"aws:PrincipalTag/a": "b"}, "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"},
                       "DateLessThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"}});
    let mut with = other.clone();
    with["DateLessThan"]["aws:CurrentTime"] = json!(DEADLINE);
    assert_eq!(conditions(&other), Some(with));
}

#[test]
fn of_two_dates_the_earlier_holds() {
    let at =
        |time: Value| conditions(&json!({"DateLessThan": {"aws:currenttime": time}})).map(|c| c["DateLessThan"]["aws:currenttime"].clone());
    assert_eq!(at(json!("2026-11-23T08:14:59Z")), Some(json!("2026-11-23T08:14:59Z")), "earlier stays");
    assert_eq!(at(json!("2027-01-01T00:00:00Z")), Some(json!(DEADLINE)), "later does not");
    // One of several values is enough, so the latest of them counts.
    assert_eq!(at(json!(["2020-01-01T00:00:00Z", "2027-01-01T00:00:00Z"])), Some(json!(DEADLINE)));
    assert_eq!(at(json!(["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"])), Some(json!(["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"])));
}

/// `2099` is a year to one reader and seconds since 1970 to another one. What has more than one reading has no reading here.
#[test]
fn only_a_whole_timestamp_counts_as_a_date() {
    for odd in [
        "2099",
        "1970",
        "1600000000",
        "4600000000",
        "2020-01",
        "2020-01-01",
        "2020-01-01T00:00Z",
        "20200101T000000Z",
        "2020-01-01 00:00:00Z",
        "2020-01-01t00:00:00z",
        "2020-01-01T00:00:60Z",
        "2020-01-01T00:00:00+00:00",
        "2020-01-01T00:00:00",
    ] {
        let before = json!({"DateLessThan": {"aws:CurrentTime": odd}});
        let expected = json!({"DateLessThan": {"aws:CurrentTime": odd, "aws:EpochTime": "1795421700"}});
        assert_eq!(conditions(&before), Some(expected), "{odd}");
        let dated_by = |time: Value| {
            let statement =
                json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": time}}});
            Document::from_value(&json!({"Version": "2012-10-17", "Statement": statement})).unwrap()
        };
        assert_eq!(end(&dated_by(json!(odd))), None, "{odd}");
        assert_eq!(end(&dated_by(json!([odd, "2020-01-01T00:00:00Z"]))), None, "{odd}, and one that can be read");
        // The date that stands beside it is the end, and a second time changes nothing.
        let deadline = Time::parse(DEADLINE).unwrap();
        let once = dated(&dated_by(json!(odd)), deadline).unwrap();
        assert_eq!((end(&once), dated(&once, deadline)), (Some(deadline), Ok(once.clone())), "{odd}");
    }
}

#[test]
fn of_both_keys_the_earlier_is_the_end() {
    let deadline = Time::parse(DEADLINE).unwrap();
    let of = |current: &str, epoch: &str| {
        let condition = json!({"DateLessThan": {"aws:CurrentTime": current, "aws:EpochTime": epoch}});
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition});
        end(&Document::from_value(&json!({"Version": "2012-10-17", "Statement": statement})).unwrap())
    };
    assert_eq!(of("2099-01-01T00:00:00Z", "1795421700"), Some(deadline));
    assert_eq!(of(DEADLINE, "4600000000"), Some(deadline));
    assert_eq!(of("2099", "2099"), None);
}

#[test]
fn a_date_that_cannot_be_read_stays_and_the_end_stands_beside_it() {
    let unknown = json!({"DateLessThan": {"aws:CurrentTime": "${aws:PrincipalTag/until}"}});
    let expected = json!({"DateLessThan": {"aws:CurrentTime": "${aws:PrincipalTag/until}", "aws:EpochTime": "1795421700"}});
    assert_eq!(conditions(&unknown), Some(expected));
    assert_eq!(Time::parse(DEADLINE), Some(Time::from_secs(1_795_421_700)));
    let both = json!({"DateLessThan": {"aws:CurrentTime": "2026-11", "AWS:EpochTime": "1"}});
    assert_eq!(conditions(&both), None);
    let statement = json!({"Sid": "Odd", "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": both});
    let document = Document::from_value(&json!({"Version": "2012-10-17", "Statement": statement})).unwrap();
    assert!(dated(&document, Time::from_secs(0)).unwrap_err().starts_with("statement Odd cannot be given an end"));
}

#[test]
fn every_statement_ends_and_is_dated_once() {
    let document = Document::from_value(&json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::a"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}},
    ]}))
    .unwrap();
    assert_eq!(end(&document), None);
    let deadline = Time::parse(DEADLINE).unwrap();
    let once = dated(&document, deadline.plus_secs(0)).unwrap();
    assert_eq!((end(&once), once.statements().len()), (Some(deadline), 3));
    assert_eq!(dated(&once, deadline).unwrap(), once);
    assert_eq!(dated(&once, deadline.plus_secs(60)).unwrap(), once, "a later date changes nothing");
    assert_eq!(end(&dated(&once, deadline.plus_secs(-60)).unwrap()), Some(deadline.plus_secs(-60)));
}
