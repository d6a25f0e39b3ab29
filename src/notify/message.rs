//! The forms in which the channels take a notification. Pure.
use super::notice::{About, Kind, Notice};
use curfew_core::text::printable;
use serde_json::{Map, Value, json};

/// What a channel sends.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// The body of a POST.
    Http {
        /// The media type.
        content_type: &'static str,
        /// The body.
        body: Value,
    },
    /// An e-mail.
    Mail {
        /// The addresses. Nobody sees those of others.
        to: Vec<String>,
        /// The subject line, without control characters.
        subject: String,
        /// The text.
        body: String,
    },
}

/// The facts, what the status says, the commands and the link, one per line. What people have written is shown without control
/// characters, so that it cannot imitate other lines.
pub fn body(notice: &Notice, console: Option<&str>) -> String {
    let mut text: String = notice.facts.iter().map(|(fact, value)| format!("{fact}: {}\n", printable(value))).collect();
    text.push_str(&format!("\n{}\n\n", printable(&notice.message)));
    notice.commands.iter().for_each(|command| text.push_str(&format!("{}\n", printable(command))));
    if let Some(link) = link(notice, console) {
        text.push_str(&format!("\n{link}\n"));
    }
    text
}

fn link(notice: &Notice, console: Option<&str>) -> Option<String> {
    let (namespace, name) = &notice.about.as_ref().filter(|about| about.kind == Kind::Request)?.key;
    console.map(|console| format!("{}/requests/{namespace}/{name}", console.trim_end_matches('/')))
}

/// A message for an incoming webhook of Slack. Its three special characters are escaped, so that no text can mention people or set a
/// link (api.slack.com, "Formatting text for app surfaces").
pub fn slack(notice: &Notice, console: Option<&str>) -> Content {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // A fence in a text would end the block.
    let body = escape(&body(notice, None)).replace("```", "'''");
    let link = link(notice, console).map(|link| format!("\n<{}|Open in the console>", escape(&link))).unwrap_or_default();
    let subject = escape(&notice.subject).replace(['*', '_', '~', '`', '\n'], " ");
    Content::Http { content_type: "application/json", body: json!({"text": format!("*{subject}*\n```{body}```{link}")}) }
}

/// A CloudEvent in structured mode (CloudEvents 1.0.2). Texts are as people wrote them: JSON keeps them apart.
pub fn cloud_event(notice: &Notice, install: &str, console: Option<&str>, time: &str) -> Content {
    let mut data: Map<String, Value> = notice.facts.iter().map(|(fact, value)| ((*fact).to_owned(), json!(value))).collect();
    data.insert("event".into(), json!(notice.event.event));
    data.insert("critical".into(), json!(notice.event.event.is_critical()));
    data.insert("summary".into(), json!(notice.subject));
    data.insert("message".into(), json!(notice.message));
    data.insert("commands".into(), json!(notice.commands));
    data.extend(link(notice, console).map(|link| ("link".to_owned(), json!(link))));
    let mut event = json!({
        "specversion": "1.0",
        "id": notice.id,
        "type": format!("dev.curfew.notification.{:?}.v1", notice.event.event),
        "source": format!("curfew/{install}"),
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    });
    if let Some(About { key: (namespace, name), .. }) = &notice.about {
        event["subject"] = json!(format!("{namespace}/{name}"));
    }
    Content::Http { content_type: "application/cloudevents+json", body: event }
}

/// An e-mail to these addresses.
pub fn mail(notice: &Notice, console: Option<&str>, to: Vec<String>) -> Content {
    Content::Mail { to, subject: printable(&notice.subject), body: body(notice, console) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_core::notice::{NoticeEvent, matrix::Concerned, transition::RequestEvent};

    fn notice(justification: &str) -> Notice {
        Notice {
            event: RequestEvent { event: NoticeEvent::ApprovalNeeded, stage: Some("owners".into()) },
            id: "u/ApprovalNeeded/owners".into(),
            about: Some(About { kind: Kind::Request, key: ("payments".into(), "r-x7k2p".into()) }),
            subject: "alice@example.com requests payments-admin in payments".into(),
            facts: vec![("requester", "alice@example.com".into()), ("justification", justification.into())],
            message: "waiting for 1 of payments-leads".into(),
            commands: vec!["kubectl curfew approve r-x7k2p -n payments --digest 00".into()],
            concerned: Concerned::default(),
        }
    }

    fn text(content: &Content) -> String {
        match content {
            Content::Http { body, .. } => body["text"].as_str().unwrap().to_owned(),
            Content::Mail { body, .. } => body.clone(),
        }
    }

    #[test]
    fn a_message_has_the_ready_command_on_a_line_of_its_own_and_the_link() {
        let text = body(&notice("INC-1"), Some("https://console.example.com/"));
        for part in [
            "requester: alice@example.com\n",
            "justification: INC-1\n",
            "\nkubectl curfew approve r-x7k2p -n payments --digest 00\n",
            "\nhttps://console.example.com/requests/payments/r-x7k2p\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }

    #[test]
    fn what_people_write_cannot_imitate_other_parts_of_a_message() {
        let plain = body(&notice("x\nstate: Active\r\n\u{202e}y"), None);
        assert!(!plain.contains("\nstate: Active") && plain.contains(r"\u{202e}"), "{plain}");
        let evil = Notice { subject: "*<!here>*\nx".into(), ..notice("<!channel> ``` *bold* & <https://evil.example|here>") };
        let slack = text(&slack(&evil, Some("https://console.example.com")));
        assert!(slack.contains("&lt;!channel&gt; ''' *bold* &amp; &lt;https"), "{slack}");
        assert!(slack.starts_with("* &lt;!here&gt;  x*\n```") && slack.matches("```").count() == 2, "{slack}");
        assert!(slack.ends_with("```\n<https://console.example.com/requests/payments/r-x7k2p|Open in the console>"), "{slack}");
        let Content::Mail { subject, .. } = mail(&Notice { subject: "a\r\nBcc: x@example.com".into(), ..notice("") }, None, vec![]) else {
            panic!("an e-mail")
        };
        assert_eq!(subject, r"a\r\nBcc: x@example.com");
    }

    #[test]
    fn a_cloud_event_has_the_required_attributes_and_is_told_from_every_other() {
        let Content::Http { body: event, content_type } = cloud_event(&notice("why"), "0123abcd", None, "2026-11-26T08:00:00Z") else {
            panic!("a POST")
        };
        assert_eq!((&event["specversion"], &event["id"]), (&json!("1.0"), &json!("u/ApprovalNeeded/owners")));
        assert_eq!(
            (event["type"].as_str(), event["source"].as_str()),
            (Some("dev.curfew.notification.ApprovalNeeded.v1"), Some("curfew/0123abcd"))
        );
        assert_eq!((content_type, event["data"]["justification"].as_str()), ("application/cloudevents+json", Some("why")));
        assert_eq!(event["data"]["link"], Value::Null);
    }
}
