//! The accounts that are connected. A build without feature `aws` connects none, and says so.
#[cfg(feature = "aws")]
use super::{Aws, Connections, memory::Constants};
use crate::{
    api::system::AwsConnection,
    authority::Clock,
    providers::port::{Provider, ProviderError},
};
use std::sync::Arc;

/// How many accounts are kept connected. More are connected again when they are needed.
#[cfg(feature = "aws")]
const MOST: usize = 1_024;

/// One provider for each connection that was used.
#[cfg(feature = "aws")]
#[derive(Clone)]
pub struct Accounts {
    known: Arc<Constants<String, Arc<Aws>>>,
    connections: Connections,
}

/// No connection is used.
#[cfg(not(feature = "aws"))]
#[derive(Clone, Default)]
pub struct Accounts {}

#[cfg(feature = "aws")]
impl Default for Accounts {
    fn default() -> Self {
        Accounts { known: Arc::new(Constants::new(MOST)), connections: Connections::default() }
    }
}

#[cfg(feature = "aws")]
impl Accounts {
    /// Who reaches this account.
    ///
    /// # Errors
    /// None in this build.
    pub fn reach(&self, connection: &AwsConnection, clock: &Arc<Clock>) -> Result<Arc<dyn Provider>, ProviderError> {
        // Two roles of one account are two connections, and so are two external ids.
        let key = format!("{connection:?}");
        Ok(self.known.get_or_insert_with(key, || Arc::new(Aws::new(connection.clone(), self.connections.clone(), clock.clone()))))
    }
}

#[cfg(not(feature = "aws"))]
impl Accounts {
    /// Nobody reaches an account.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`], always: with the feature that is missing.
    pub fn reach(&self, _: &AwsConnection, _: &Arc<Clock>) -> Result<Arc<dyn Provider>, ProviderError> {
        let message = "this build of Curfew has no provider for AWS accounts; use an image that is built with feature aws";
        Err(ProviderError::Invalid(message.into()))
    }
}
