use crate::support::World;

#[tokio::test]
async fn smoke() -> anyhow::Result<()> {
    let t = std::time::Instant::now();
    let w = World::first("smoke").await?;
    println!("installed in {:?}", t.elapsed());
    let alice = w.alice()?;
    println!("{:?}", alice.can_read_secret("payments", "db").await?);
    println!("{:?}", alice.create("{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: one, namespace: payments}, spec: {roleRef: {name: payments-admin}, duration: 10s, justification: x}}").await?);
    println!("{:?}", alice.kubectl(&["get", "areq", "-n", "payments", "one", "-o", "yaml"]).await?);
    Ok(())
}
