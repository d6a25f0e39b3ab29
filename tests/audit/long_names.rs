//! The longest names that the API server accepts: a user name of 1,024 characters, and an object name of 253.
use crate::{attacks::asks, story::decide};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, World};

/// Who took part.
pub struct People {
    pub requester: String,
    pub approver: String,
}

/// A distinguished name with so many characters, of several bytes some of them.
fn distinguished(first: &str, length: usize) -> String {
    let start = format!("CN={first} Müller, OU=Zahlungsverkehr, O=Bank für Handel, UID=");
    let rest = length - start.chars().count();
    format!("{start}{}", "7".repeat(rest))
}

/// Asks and approves by such names, and looks at everything that is stored and shown about it.
pub async fn everything_is_stored(w: &World) -> Result<People> {
    let people = People { requester: distinguished("Jürgen", 1024), approver: distinguished("Zoë", 1024) };
    let (requester, approver) = (w.cp.user(&people.requester, &["payments-devs"])?, w.cp.user(&people.approver, &["payments-leads"])?);
    let too_long = w.cp.user(&distinguished("Jürgen", 1025), &["payments-devs"])?;
    let refused = too_long.apply(&asks("payments-admin", "too-long", "1h", "")).await?.refused()?;
    ensure!(refused.contains("spec.requester.username") && refused.contains("1024"), "a longer name is refused with the limit: {refused}");

    let name = format!("long-{}", "n".repeat(248));
    requester.apply(&asks("payments-admin", &name, "1h", "")).await?.success()?;
    w.state_is(&name, "AwaitingApproval").await?;
    let message = w.field(&["areq", "-n", "payments", &name], "{.status.message}").await?;
    let digest = w.field(&["areq", "-n", "payments", &name], "{.status.digest}").await?;
    ensure!(message.ends_with(&format!("--digest {digest}")), "the command is cut off: {message}");
    decide(w, &approver, &name, "Approve").await?;
    w.state_is(&name, "Active").await?;
    w.access_is(&requester, true, SOON).await?;

    for (path, value) in [
        ("{.status.resolved.requester}", &people.requester),
        ("{.status.resolved.beneficiary.user}", &people.requester),
        ("{.status.approval.stages[0].decisions[0].decider}", &people.approver),
    ] {
        w.field_is(&["areq", "-n", "payments", &name], path, value).await?;
    }
    let grant = w.field(&["areq", "-n", "payments", &name], "{.status.grantRef.name}").await?;
    w.field_is(&["grt", &grant], "{.status.display.principal}", &people.requester).await?;
    let decision = ["adec", "-n", "payments", &format!("--field-selector=spec.about.activationRequest.name={name}")];
    w.field_is(&decision, "{.items[0].status.conditions[0].reason}", "Counted").await?;
    let admin = w.admin()?;
    for kind in ["areq", "adec", "grt"] {
        let table = admin.kubectl(&["get", kind, "-n", "payments", "-o", "wide"]).await?.success()?;
        ensure!(table.contains(&name) && (kind == "areq" || table.contains("Müller")), "{kind} prints\n{table}");
    }
    // The recorder of Events names them after their object, and this name leaves it no room.
    let events = format!("{{range .items[?(@.involvedObject.name==\"{name}\")]}}{{.reason}} {{end}}");
    w.field_fits(&["events", "-n", "payments"], &events, "to tell that it is Active", SOON, |reasons| reasons.contains("Active")).await?;

    decide(w, &requester, &name, "Revoke").await?;
    w.state_is(&name, "Revoked").await?;
    // Of Events about one object with the same reason the recorder keeps the first note, so another reason is looked for.
    let about_role = "{range .items[?(@.involvedObject.kind==\"RoleTemplate\")]}{.message};;{end}";
    let told = |notes: &str| {
        notes.split(";;").any(|note| note.contains("CN=Jürgen Müller") && note.contains("the requester or beneficiary ended the access"))
    };
    w.field_fits(&["events", "-n", "payments"], about_role, "to tell the owners of the role", SOON, told).await?;
    let ended_by = w.field(&["areq", "-n", "payments", &name], "{.status.endedBy.decision} {.status.endedBy.decider}").await?;
    ensure!(ended_by == format!("Revoke {}", people.requester), "{ended_by}");
    w.access_is(&requester, false, SOON).await?;
    Ok(people)
}
