//! What stands is guarded: status, spec, metadata, Grants, decisions, and what Curfew made.
use super::{Attempts, decision, denied, patch, request, world};
use crate::attacks::unprotected;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, User, World};

/// A binding as the operator would have made it.
async fn marked(w: &World, namespace: &str, name: &str) -> Result<()> {
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let yaml = format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: '{name}', namespace: {namespace}, labels: {{curfew.dev/grant: '0123456789abcdef'}}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}}}}"
    );
    operator.create(&yaml).await?.success().map(drop)
}

#[tokio::test]
async fn nobody_writes_status_but_the_operator() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-ledger").await?;
    w.alice()?.apply(&request("status", "")).await?.success()?;
    let (mallory, mut all) = (w.mallory()?, Attempts::default());
    for (kind, name) in
        [("areq", "status"), ("rtpl", "payments-admin"), ("authsys", "this-cluster"), ("apol", "payments"), ("curfewconfig", "curfew")]
    {
        let written = patch(&mallory, &[kind, name, "--subresource=status"], r#"{"status": {"observedGeneration": 7}}"#).await?;
        all.denied(&format!("the status of {kind}"), written, "written by the operator alone")?;
    }
    all.came_to_nothing()
}

#[tokio::test]
async fn requests_and_decisions_are_immutable() -> Result<()> {
    let w = world().await?;
    w.alice()?.apply(&request("frozen", "")).await?.success()?;
    w.carol()?.apply(&decision("frozen", "frozen", "")).await?.success()?;
    let mallory = w.mallory()?;
    let refusal = patch(&mallory, &["areq", "frozen"], r#"{"spec": {"duration": "4h"}}"#).await?.refused()?;
    ensure!(refusal.contains("a request is immutable"), "{refusal}");
    let refusal = patch(&mallory, &["adec", "frozen"], r#"{"spec": {"decision": "Deny"}}"#).await?.refused()?;
    ensure!(refusal.contains("a decision is immutable"), "{refusal}");
    Ok(())
}

/// As people with the shipped roles: RBAC answers, too.
#[tokio::test]
async fn every_form_of_apply_works_and_changes_no_spec() -> Result<()> {
    let w = world().await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    let (server_side, plain) = (["apply", "--server-side", "-f", "-"], ["apply", "-f", "-"]);
    let written = request("applied", "");
    let decided = decision("applied", "applied", "");
    for (who, yaml, other) in
        [(&alice, &written, request("applied", ", duration: 4h")), (&carol, &decided, decision("applied", "applied", ", comment: other"))]
    {
        for again in 0..2 {
            who.kubectl_stdin(&server_side, yaml).await?.success().with_context(|| format!("server-side apply, {again} before"))?;
        }
        let refusal = who.kubectl_stdin(&server_side, &other).await?.refused()?;
        ensure!(refusal.contains("is immutable"), "{refusal}");
        let forced = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        let refusal = who.kubectl_stdin(&forced, &other).await?.refused()?;
        ensure!(refusal.contains("is immutable"), "{refusal}");
        // Client-side apply of what server-side apply or create has made.
        who.kubectl_stdin(&plain, yaml).await?.success().context("apply after server-side apply")?;
        let created = yaml.replace("name: applied, namespace", "name: created, namespace");
        who.kubectl_stdin(&["create", "-f", "-"], &created).await?.success()?;
        who.kubectl_stdin(&plain, &created).await?.success().context("apply after create")?;
        who.kubectl_stdin(&server_side, &created).await?.success().context("server-side apply after apply")?;
        let refusal = who.kubectl_stdin(&plain, &other).await?.refused()?;
        ensure!(refusal.contains("is immutable"), "{refusal}");
    }
    let stamp = w.field(&["areq", "-n", "payments", "applied"], "{.spec.requester.username} {.spec.duration}").await?;
    assert_eq!(stamp, "alice@example.com ");
    // The same right on what another person wrote: neither its spec nor its status.
    let bob = w.cp.user("bob@example.com", &["payments-devs"])?;
    let refusal = patch(&bob, &["areq", "applied"], r#"{"spec": {"requester": {"username": "bob@example.com", "groups": []}}}"#).await?;
    ensure!(refusal.clone().refused()?.contains("a request is immutable"), "{refusal:?}");
    let status = patch(&bob, &["areq", "applied", "--subresource=status"], r#"{"status": {"state": "Active"}}"#).await?.refused()?;
    ensure!(status.contains("forbidden"), "{status}");
    Ok(())
}

#[tokio::test]
async fn foreign_finalizers_owners_and_reserved_keys_are_refused() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-requests").await?;
    unprotected(w, "curfew-decisions").await?;
    w.alice()?.apply(&request("meta", "")).await?.success()?;
    w.carol()?.apply(&decision("meta", "meta", "")).await?.success()?;
    let (mallory, mut all) = (w.mallory()?, Attempts::default());
    let tries = [
        ("labels", r#"{"metadata": {"labels": {"curfew.dev/grant": "x"}}}"#, "labels under curfew.dev/"),
        ("annotations", r#"{"metadata": {"annotations": {"curfew.dev/x": "y"}}}"#, "annotations under curfew.dev/"),
        ("finalizers", r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#, "finalizers are set by the operator alone"),
        (
            "owners",
            r#"{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "uid": "1"}]}}"#,
            "ownerReferences are not allowed",
        ),
    ];
    for kind in ["areq", "adec"] {
        patch(&mallory, &[kind, "meta"], r#"{"metadata": {"labels": {"example.com/mine": "fine"}}}"#).await?.success()?;
        for (what, change, words) in tries {
            all.denied(&format!("{what} of {kind}"), patch(&mallory, &[kind, "meta"], change).await?, words)?;
        }
    }
    // Born with them is refused as well.
    let born = request("born", "").replace("name: born,", "name: born, finalizers: [example.com/mine],");
    all.denied("born with finalizers", mallory.apply(&born).await?, "finalizers are set by the operator alone")?;
    all.came_to_nothing()
}

#[tokio::test]
async fn grants_are_the_operators() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-ledger").await?;
    let grant = r#"{"apiVersion": "curfew.dev/v1alpha1", "kind": "Grant", "metadata": {"name": "mine"}, "spec": {
        "system": {"name": "s", "uid": "u", "target": "t", "connection": {"kubernetes": {"inCluster": {}}}},
        "request": {"namespace": "n", "name": "r", "uid": "u", "requester": "m", "beneficiary": {"user": "m"}},
        "principal": {"kubernetes": {"user": "m"}}, "digest": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "expiresAt": "2099-01-01T00:00:00Z",
        "plan": {"kubernetes": {"subject": {"user": "m"}, "bindings": [{"name": "b", "roleKind": "ClusterRole", "role": "cluster-admin"}]}}}}"#;
    denied(w.mallory()?.apply(grant).await?, "written by the operator alone")?;
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    operator.create(grant).await?.success()?;
    let later = patch(&operator, &["grt", "mine"], r#"{"spec": {"expiresAt": "2100-01-01T00:00:00Z"}}"#).await?.refused()?;
    ensure!(later.contains("expiresAt may only move earlier"), "{later}");
    patch(&operator, &["grt", "mine"], r#"{"spec": {"expiresAt": "2030-01-01T00:00:00Z"}}"#).await?.success()?;
    let other = patch(&operator, &["grt", "mine"], r#"{"spec": {"principal": {"kubernetes": {"user": "x"}}}}"#).await?.refused()?;
    ensure!(other.contains("a Grant is frozen"), "{other}");
    denied(w.mallory()?.api(&["delete", "grt", "mine"]).await?, "written by the operator alone")?;
    Ok(())
}

#[tokio::test]
async fn who_may_delete_what() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-requests").await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    let admin = w.admin()?;
    for name in ["mine", "managed", "theirs"] {
        alice.apply(&request(name, "")).await?.success()?;
    }
    carol.apply(&decision("recorded", "mine", "")).await?.success()?;
    // A user who may delete requests by RBAC, and is not a manager.
    admin.api(&["create", "clusterrole", "deleter", "--verb=get,delete", "--resource=activationrequests.curfew.dev"]).await?.success()?;
    admin.api(&["create", "clusterrolebinding", "deleter", "--clusterrole=deleter", "--user=dan@example.com"]).await?.success()?;
    let dan = w.cp.user("dan@example.com", &[])?;
    denied(dan.api(&["delete", "areq", "-n", "payments", "theirs"]).await?, "a request is deleted by its requester")?;
    admin.api(&["create", "clusterrole", "manager", "--verb=manage", "--resource=activationrequests.curfew.dev"]).await?.success()?;
    admin.api(&["create", "clusterrolebinding", "manager", "--clusterrole=manager", "--user=dan@example.com"]).await?.success()?;
    dan.api(&["delete", "areq", "-n", "payments", "managed"]).await?.success()?;
    alice.api(&["delete", "areq", "-n", "payments", "mine"]).await?.success()?;
    denied(
        w.mallory()?.api(&["delete", "adec", "-n", "payments", "recorded"]).await?,
        "a decision is an audit record and cannot be deleted",
    )?;
    Ok(())
}

/// A decision that counts for nothing may be cleared away, by a manager alone; one that counts, or is not judged yet, stays.
#[tokio::test]
async fn a_manager_deletes_decisions_that_do_not_count() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-decisions").await?;
    let (alice, carol, admin, mut all) = (w.alice()?, w.carol()?, w.admin()?, Attempts::default());
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    alice.apply(&request("decided", "")).await?.success()?;
    for (name, about, counted) in [
        ("counted", "decided", Some("True")),
        ("open", "decided", None),
        ("refused", "decided", Some("False")),
        ("about-nothing", "no-such-request", Some("False")),
    ] {
        carol.apply(&decision(name, about, "")).await?.success()?;
        let Some(status) = counted else { continue };
        let condition = format!(
            r#"{{"type": "Counted", "status": "{status}", "reason": "Test", "message": "", "lastTransitionTime": "2026-11-26T00:00:00Z"}}"#
        );
        let status = format!(r#"{{"status": {{"conditions": [{condition}]}}}}"#);
        patch(&operator, &["adec", name, "--subresource=status"], &status).await?.success()?;
    }
    // The shipped role, in this namespace.
    let yaml = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: managers, namespace: payments}, \
                roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-manager}, \
                subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: mia@example.com}]}";
    admin.apply(yaml).await?.success()?;
    // All rights on decisions, and no right to manage.
    let rights = ["create", "clusterrole", "clears", "--verb=get,delete", "--resource=accessdecisions.curfew.dev"];
    admin.api(&rights).await?.success()?;
    admin.api(&["create", "clusterrolebinding", "clears", "--clusterrole=clears", "--user=alice@example.com"]).await?.success()?;
    let mia = w.cp.user("mia@example.com", &[])?;
    let delete = async |who: &User, name: &str| who.api(&["delete", "adec", "-n", "payments", name]).await;
    let words = "except by a manager";
    for name in ["refused", "about-nothing"] {
        all.denied(&format!("a requester clears away the decision {name}"), delete(&alice, name).await?, words)?;
    }
    for name in ["counted", "open"] {
        all.denied(&format!("a manager clears away the decision {name}"), delete(&mia, name).await?, words)?;
    }
    all.came_to_nothing()?;
    for name in ["refused", "about-nothing"] {
        delete(&mia, name).await?.success()?;
    }
    Ok(())
}

/// With every right that RBAC can give: what its account may do is to end, and nothing else.
#[tokio::test]
async fn the_account_that_only_revokes_ends_and_does_not_begin() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-ledger").await?;
    let mut all = Attempts::default();
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let revoker = w.cp.service_account("curfew-system", "curfew-revoker").await?;
    let grant = r#"{"apiVersion": "curfew.dev/v1alpha1", "kind": "Grant", "metadata": {"name": "ending", "finalizers": ["curfew.dev/revoke"]}, "spec": {
        "system": {"name": "s", "uid": "u", "target": "t", "connection": {"kubernetes": {"inCluster": {}}}},
        "request": {"namespace": "n", "name": "r", "uid": "u", "requester": "m", "beneficiary": {"user": "m"}},
        "principal": {"kubernetes": {"user": "m"}}, "digest": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "expiresAt": "2099-01-01T00:00:00Z",
        "plan": {"kubernetes": {"subject": {"user": "m"}, "bindings": [{"name": "b", "roleKind": "ClusterRole", "role": "cluster-admin"}]}}}}"#;
    all.denied("it creates a Grant", revoker.create(&grant.replace("ending", "begun")).await?, "written by the operator alone")?;
    operator.create(grant).await?.success()?;
    let words = "written by the operator alone";
    let status = async |who: &User, state: &str| {
        let change = format!(r#"{{"status": {{"state": "{state}"}}}}"#);
        patch(who, &["grt", "ending", "--subresource=status"], &change).await
    };
    status(&operator, "Granting").await?.success()?;
    for state in ["Active", "Abandoned"] {
        all.denied(&format!("it calls a Grant {state}"), status(&revoker, state).await?, words)?;
    }
    for (what, change) in [
        ("labels", r#"{"metadata": {"labels": {"curfew.dev/target": "x"}}}"#),
        ("the finalizer of a live Grant", r#"{"metadata": {"finalizers": null}}"#),
        ("a finalizer more", r#"{"metadata": {"finalizers": ["curfew.dev/revoke", "example.com/mine"]}}"#),
    ] {
        all.denied(what, patch(&revoker, &["grt", "ending"], change).await?, words)?;
    }
    patch(&revoker, &["grt", "ending"], r#"{"spec": {"expiresAt": "2030-01-01T00:00:00Z"}}"#).await?.success()?;
    let later = patch(&revoker, &["grt", "ending"], r#"{"spec": {"expiresAt": "2040-01-01T00:00:00Z"}}"#).await?.refused()?;
    ensure!(later.contains("expiresAt may only move earlier"), "{later}");
    status(&revoker, "Revoking").await?.success()?;
    all.denied("it brings a Grant back", status(&revoker, "Granting").await?, words)?;
    status(&revoker, "Ended").await?.success()?;
    patch(&revoker, &["grt", "ending"], r#"{"metadata": {"finalizers": null}}"#).await?.success()?;
    all.denied("it deletes a Grant", revoker.api(&["delete", "grt", "ending"]).await?, words)?;
    for (what, change) in [
        ("a proof of admission", r#"{"status": {"admission": {"since": "2020-01-01T00:00:00Z"}}}"#),
        ("the keys of the cluster", r#"{"status": {"clusterKeys": ["0"]}}"#),
    ] {
        all.denied(what, patch(&revoker, &["curfewconfig", "curfew", "--subresource=status"], change).await?, words)?;
    }
    all.denied(
        "the status of a role",
        patch(&revoker, &["rtpl", "payments-admin", "--subresource=status"], r#"{"status": {"eligible": 7}}"#).await?,
        words,
    )?;
    let head = r#"{"status": {"auditHeads": [{"writer": "curfew-revoker", "sequence": 1, "hash": "0", "at": "2026-11-26T00:00:00Z"}]}}"#;
    patch(&revoker, &["curfewconfig", "curfew", "--subresource=status"], head).await?.success()?;
    all.came_to_nothing()
}

/// The same for what Curfew created at the cluster: it takes subjects and finalizers away.
#[tokio::test]
async fn the_account_that_only_revokes_takes_and_does_not_give() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-marks").await?;
    let mut all = Attempts::default();
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let revoker = w.cp.service_account("curfew-system", "curfew-revoker").await?;
    // Owned by its Job, as the operator makes it.
    let fuse = "{apiVersion: batch/v1, kind: Job, metadata: {name: curfew-00000000000000c1-0, namespace: payments, labels: {curfew.dev/grant: '00000000000000c1'}}, \
                spec: {parallelism: 0, activeDeadlineSeconds: 3600, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}";
    operator.create(fuse).await?.success()?;
    let job = ["job", "curfew-00000000000000c1-0"];
    let uid = w.field(&["job", "-n", "payments", job[1]], "{.metadata.uid}").await?;
    let name = "curfew:a:00000000000000c1:20300101T000000Z:0";
    let owner = format!("{{apiVersion: batch/v1, kind: Job, name: {}, uid: '{uid}'}}", job[1]);
    let user = |name: &str| format!(r#"{{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "{name}"}}"#);
    let binding = |name: &str, subjects: &str| {
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: '{name}', namespace: payments, finalizers: [example.com/held], \
             labels: {{curfew.dev/grant: '00000000000000c1'}}, ownerReferences: [{owner}]}}, subjects: [{subjects}], \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}}}}"
        )
    };
    let made = revoker.create(&binding("curfew:a:00000000000000c1:20300101T000000Z:1", &user("mallory@example.com"))).await?;
    all.denied("it creates a binding", made, "only Curfew may change objects")?;
    operator.create(&binding(name, &user("alice@example.com"))).await?.success()?;
    let both = format!(r#"{{"subjects": [{}, {}]}}"#, user("alice@example.com"), user("mallory@example.com"));
    for (what, change, words) in [
        ("a second subject", both.as_str(), "must not add a subject"),
        (
            "a finalizer",
            r#"{"metadata": {"finalizers": ["example.com/held", "example.com/mine"]}}"#,
            "must not change labels or add a finalizer",
        ),
        ("its label", r#"{"metadata": {"labels": {"curfew.dev/grant": null}}}"#, "must not change labels or add a finalizer"),
    ] {
        all.denied(what, patch(&revoker, &["rolebinding", name], change).await?, words)?;
    }
    for (what, change) in [
        ("a later end of a Job", r#"{"spec": {"activeDeadlineSeconds": 7200}}"#),
        ("no end of a Job", r#"{"spec": {"activeDeadlineSeconds": null}}"#),
        ("a Job that is suspended", r#"{"spec": {"suspend": true}}"#),
    ] {
        all.denied(what, patch(&revoker, &job, change).await?, "must not keep a Job from ending")?;
    }
    all.came_to_nothing()?;
    patch(&revoker, &job, r#"{"spec": {"activeDeadlineSeconds": 60}}"#).await?.success()?;
    patch(&revoker, &["rolebinding", name], r#"{"subjects": []}"#).await?.success()?;
    let again = format!(r#"{{"subjects": [{}]}}"#, user("alice@example.com"));
    denied(patch(&revoker, &["rolebinding", name], &again).await?, "must not add a subject")?;
    patch(&revoker, &["rolebinding", name], r#"{"metadata": {"finalizers": null}}"#).await?.success()?;
    revoker.api(&["delete", "rolebinding", "-n", "payments", name]).await?.success()?;
    revoker.api(&["delete", "job", "-n", "payments", job[1]]).await?.success().map(drop)
}

#[tokio::test]
async fn what_curfew_made_is_its_own() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-marks").await?;
    let (mallory, mut all) = (w.mallory()?, Attempts::default());
    let words = "only Curfew may change objects that it created";
    let name = "curfew:a:b:20300101T000000Z:0";
    marked(w, "payments", name).await?;
    // The name of a fuse is guarded as well: a user who takes it beforehand keeps a grant from being made.
    let job = "{apiVersion: batch/v1, kind: Job, metadata: {name: curfew-0123456789abcdef-0, namespace: payments}, \
               spec: {parallelism: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}";
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: payments, labels: {curfew.dev/grant: '0123456789abcdef'}}, \
               spec: {containers: [{name: a, image: a}]}}";
    let fake = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: 'curfew:x'}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}";
    for (what, made) in [("a Job of a fuse's name", job), ("a Pod with our label", pod), ("a binding of our name", fake)] {
        all.denied(what, mallory.create(made).await?, words)?;
    }
    // Taking the mark onto a stranger's binding is a change, too.
    let mark = r#"{"metadata": {"labels": {"curfew.dev/grant": "x"}}}"#;
    all.denied("a stranger's binding with our label", patch(&mallory, &["rolebinding", "curfew-requesters"], mark).await?, words)?;
    for (what, change) in [
        ("subjects", r#"{"subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory@example.com"}]}"#),
        ("finalizers", r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#),
        ("labels", r#"{"metadata": {"labels": {"curfew.dev/grant": null}}}"#),
        ("owners", r#"{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "uid": "1"}]}}"#),
    ] {
        all.denied(what, patch(&mallory, &["rolebinding", name], change).await?, words)?;
    }
    all.came_to_nothing()?;
    // Deleting only takes access away, and is left to RBAC.
    mallory.api(&["delete", "rolebinding", "-n", "payments", name]).await?.success()?;
    Ok(())
}

/// A slot that anybody could delete would let one request more hold a role, and one that anybody could create would keep people out.
#[tokio::test]
async fn the_slots_of_limits_are_the_operators() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-slots").await?;
    let (operator, mallory) = (w.cp.service_account("curfew-system", "curfew-operator").await?, w.mallory()?);
    let name = |n: u8| format!("curfew-slot-{}-{n}", "0".repeat(40));
    let slot = |n: u8| {
        let name = name(n);
        format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: {name}, namespace: curfew-system}}, spec: {{holderIdentity: a/b}}}}"
        )
    };
    operator.create(&slot(0)).await?.success()?;
    let (words, mut all) = ("taken and released by the operator alone, which also hands them over", Attempts::default());
    all.denied("a slot of hers", mallory.create(&slot(1)).await?, words)?;
    let taken = ["lease", "-n", "curfew-system", &name(0)];
    let change = r#"{"spec": {"holderIdentity": "c/d"}}"#;
    let patch = [&["patch"], &taken[..], &["--type=merge", "-p", change]].concat();
    all.denied("a slot that she changes", mallory.api(&patch).await?, words)?;
    all.denied("a slot that she deletes", mallory.api(&[&["delete"], &taken[..]].concat()).await?, words)?;
    all.came_to_nothing()?;
    // Other Leases there are not concerned, and the operator releases what it took.
    let other = slot(2).replace("curfew-slot-", "another-");
    mallory.create(&other).await?.success()?;
    operator.api(&[&["delete"], &taken[..]].concat()).await?.success().map(drop)
}

#[tokio::test]
async fn collection_and_namespace_deletion_still_work() -> Result<()> {
    let w = world().await?;
    let (admin, alice, carol) = (w.admin()?, w.alice()?, w.carol()?);
    admin.api(&["create", "namespace", "leaving"]).await?.success()?;
    let there = |yaml: String| yaml.replace("namespace: payments", "namespace: leaving");
    alice.apply(&there(request("r", ""))).await?.success()?;
    carol.apply(&there(decision("d", "r", ""))).await?.success()?;
    marked(w, "leaving", "curfew:a:b:20300101T000000Z:1").await?;
    // Foreground, as GitOps agents prune: the garbage collector must get past our guards.
    alice.apply(&there(request("pruned", ""))).await?.success()?;
    alice.api(&["delete", "areq", "-n", "leaving", "pruned", "--cascade=foreground", "--timeout=30s"]).await?.success()?;
    admin.api(&["delete", "namespace", "leaving", "--wait=false"]).await?.success()?;
    let all = |v: &str| !v.split(' ').any(|n| n == "leaving");
    w.field_fits(&["namespaces"], "{.items[*].metadata.name}", "not to have leaving", SOON, all).await
}
