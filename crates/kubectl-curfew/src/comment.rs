//! The comment that a role may ask its approvers for.
use crate::context::CliContext;
use anyhow::ensure;
use curfew_core::{
    approval::{ApprovalStage, CommentRule},
    principal::UserInfo,
    text::{is_blank, printable},
};
use std::io::Write;

/// The stage that asks this user for a comment, as far as the plugin can know; otherwise the operator says so. Stages list people under the
/// names of their logins, so who cannot find out their own name is not asked.
pub(crate) async fn asked_for(me: &CliContext, stages: Option<&[ApprovalStage]>) -> Option<String> {
    let stages = stages?;
    if stages.iter().all(|stage| stage.comment == CommentRule::Optional) {
        return None;
    }
    let login = me.who().await.ok()?;
    asking(stages, &login).map(|stage| printable(&stage.name))
}

fn asking<'a>(stages: &'a [ApprovalStage], login: &UserInfo) -> Option<&'a ApprovalStage> {
    stages.iter().find(|stage| stage.comment == CommentRule::Required && stage.concerns(login))
}

/// Asks for the comment on the terminal.
pub(crate) fn ask(stage: &str) -> anyhow::Result<String> {
    eprint!("Stage {stage} asks its approvers for a comment. Why do you approve this? ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let comment = line.trim();
    ensure!(!is_blank(comment), "cancelled; no decision was created");
    Ok(comment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_who_is_listed_by_a_stage_that_asks_is_asked() {
        let stages: Vec<ApprovalStage> = serde_json::from_value(json!([
            {"name": "owners", "approvers": [{"user": "carol"}], "quorum": 1},
            {"name": "security", "approvers": [{"group": "sec"}], "quorum": 1, "comment": "Required",
                "escalation": {"after": "1h", "approvers": [{"user": "dave"}]}},
        ]))
        .unwrap();
        let asked = |name: &str, groups: &[&str]| {
            let login: UserInfo = serde_json::from_value(json!({"username": name, "groups": groups})).unwrap();
            asking(&stages, &login).map(|stage| stage.name.clone())
        };
        assert_eq!((asked("carol", &[]), asked("erin", &["sec"])), (None, Some("security".into())));
        assert_eq!(asked("dave", &[]), Some("security".into()), "also for its escalation");
    }
}
