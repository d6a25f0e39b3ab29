//! The simulated directory as a program: `simulated-directory GROUP..` prints its URL and serves until it is killed.
use anyhow::Result;
use curfew_testkit::SimulatedDirectory;

#[tokio::main]
async fn main() -> Result<()> {
    let groups: Vec<String> = std::env::args().skip(1).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let directory = SimulatedDirectory::start(&groups).await?;
    println!("{}", directory.endpoint());
    std::future::pending().await
}
