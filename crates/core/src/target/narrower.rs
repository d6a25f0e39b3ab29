//! Less of a scope or of permissions: whether it is less, what it is in words, and what must be read to grant it.
use super::{Inventory, Permissions, ProviderKind, Scope, aws, kubernetes, values::MIXED};

impl Scope {
    /// What it reaches, in words.
    pub fn in_words(&self) -> String {
        dispatch!(self, Scope(a) => p::reach_in_words(a))
    }
    /// The scope by which the inventory of a target is read for a template that is narrowed to these scopes: it names every place that
    /// this one or one of them names.
    #[must_use]
    pub fn naming(&self, narrower: &[Scope]) -> Scope {
        match self {
            Scope::Kubernetes(a) => {
                let others = narrower.iter().filter_map(|scope| if let Scope::Kubernetes(b) = scope { Some(b) } else { None });
                Scope::Kubernetes(kubernetes::naming(a, others))
            }
            // Nothing that they name is an object that is read.
            Scope::Aws(a) => Scope::Aws(a.clone()),
            #[cfg(feature = "simulated")]
            Scope::Simulated(a) => Scope::Simulated(a.clone()),
        }
    }
}

impl Permissions {
    /// The provider that these concern.
    pub const fn provider(&self) -> ProviderKind {
        match self {
            Permissions::Kubernetes(_) => ProviderKind::Kubernetes,
            Permissions::Aws(_) => ProviderKind::Aws,
            #[cfg(feature = "simulated")]
            Permissions::Simulated(_) => ProviderKind::Simulated,
        }
    }
    /// Each of them, in words.
    pub fn in_words(&self) -> Vec<String> {
        dispatch!(self, Permissions(a) => p::permissions_in_words(a))
    }
    /// The first of these that is not, as it is written, one of `offered`, in words.
    pub fn exceeds(&self, offered: &Permissions) -> Option<String> {
        dispatch_matching!(self, Permissions(a); offered, Permissions(b) => p::exceeds(a, b), else Some("permissions of another provider".into()))
    }
    /// The first of these that is bound to a place outside of the scope, in words.
    pub fn outside(&self, scope: &Scope) -> Option<String> {
        dispatch_matching!(self, Permissions(a); scope, Scope(b) => p::outside(a, b), else Some(MIXED.into()))
    }
    /// The first of `offered` that is left out of these and takes permissions away, in words: without it these would give more. What cannot
    /// be read might take some away.
    pub fn loses_denial(&self, offered: &Permissions, inventory: &Inventory) -> Option<String> {
        match (self, offered, inventory) {
            (Permissions::Aws(a), Permissions::Aws(b), Inventory::Aws(c)) => aws::loses_denial(a, b, c),
            // Nothing there denies.
            (Permissions::Kubernetes(_), _, _) => None,
            #[cfg(feature = "simulated")]
            (Permissions::Simulated(_), _, _) => None,
            (Permissions::Aws(_), _, _) => Some(MIXED.into()),
        }
    }
}

impl Inventory {
    /// The provider of the target.
    pub const fn provider(&self) -> ProviderKind {
        match self {
            Inventory::Kubernetes(_) => ProviderKind::Kubernetes,
            Inventory::Aws(_) => ProviderKind::Aws,
            #[cfg(feature = "simulated")]
            Inventory::Simulated(_) => ProviderKind::Simulated,
        }
    }
}
