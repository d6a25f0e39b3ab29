//! The roles that the providers ship, with what they permit: managed policies of AWS, built-in roles of Azure, predefined roles of Google Cloud.
//!
//! The data is built by `hack/catalogue/build` from iam-dataset (MIT) and moto (Apache-2.0), and is embedded.
pub mod aws;
pub mod azure;
mod azure_weights;
pub mod gcp;
mod gcp_weights;

use crate::catalogue::{Catalogue, Level, Method, Permission, PermissionId};

/// A permission of Azure or Google Cloud with its weight by PCI-1.
#[derive(Clone, PartialEq, Debug)]
pub struct Weighted<'a> {
    /// Its name.
    pub name: &'a str,
    /// What an unused grant of it adds to the mass.
    pub weight: f64,
    /// What it can do.
    pub level: Level,
}

/// A way to escalate, as a table has it: name, title, and the permissions that it needs.
type Way<'a> = (&'static str, &'static str, Vec<&'a str>);

/// The catalogue of a system whose permissions all apply to the same places, such as the resource groups or projects that can be granted alone;
/// there are `places` of them. Methods with a permission that is not in the list are left out: who has it cannot be said.
fn catalogue<'a>(version: String, permissions: impl IntoIterator<Item = Weighted<'a>>, ways: &[Way<'a>], places: u32) -> Catalogue {
    let one = |of: Weighted| Permission {
        name: of.name.into(),
        weight: of.weight,
        resource_type: 0,
        resources: places.max(1),
        level: of.level,
        assumed: false,
    };
    let mut permissions: Vec<Permission> = permissions.into_iter().map(one).collect();
    permissions.sort_by(|a, b| a.name.cmp(&b.name));
    let index = |name: &&str| permissions.binary_search_by(|permission| permission.name.as_str().cmp(name)).ok();
    let methods = ways.iter().filter_map(|(name, title, needs)| {
        let permissions = needs.iter().map(index).collect::<Option<Vec<PermissionId>>>()?;
        Some(Method { name: (*name).into(), title: (*title).into(), permissions })
    });
    let methods = methods.collect();
    Catalogue::new(version, permissions, methods)
}
