//! What the directory takes in one call: additions, and removals. One alone is sent by the plain request.
use super::directory::{Accepted, Directory, Removed};
use crate::providers::{combine::CombinedCall, port::ProviderError};
use async_trait::async_trait;
use curfew_core::time::Time;
use std::sync::Arc;

/// A membership to add.
pub struct Addition {
    /// The group's id.
    pub group: String,
    /// Who becomes a member.
    pub member: String,
    /// The end date.
    pub end: Time,
    /// Nothing is sent after this.
    pub until: Time,
}

/// A membership to remove.
pub struct Removal {
    /// The group's id.
    pub group: String,
    /// Who is a member.
    pub member: String,
}

/// Additions at one directory.
pub struct Additions(pub Arc<Directory>);

#[async_trait]
impl CombinedCall for Additions {
    type Item = Addition;
    type Answer = Accepted;
    async fn send(&self, items: &[Addition]) -> Result<Vec<Result<Accepted, ProviderError>>, ProviderError> {
        match items {
            [one] => self.0.add(one).await.map(|accepted| vec![Ok(accepted)]),
            several => self.0.add_all(several).await,
        }
    }
}

/// Removals at one directory.
pub struct Removals(pub Arc<Directory>);

#[async_trait]
impl CombinedCall for Removals {
    type Item = Removal;
    type Answer = Removed;
    async fn send(&self, items: &[Removal]) -> Result<Vec<Result<Removed, ProviderError>>, ProviderError> {
        match items {
            [one] => self.0.remove(one).await.map(|removed| vec![Ok(removed)]),
            several => self.0.remove_all(several).await,
        }
    }
}
