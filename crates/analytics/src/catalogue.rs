//! The catalogue: every permission of a system with its weight and the size of its resource type, and the ways to escalate with them.
use serde::Serialize;

/// The index of a permission in its catalogue.
pub type PermissionId = usize;

/// What a permission can do, as far as findings ask for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// Names of things.
    List,
    /// Contents.
    Read,
    /// Changes.
    Write,
    /// Deletes permanently.
    Delete,
    /// Changes who may do what.
    Permissions,
    /// Reads credentials or secrets.
    Secret,
    /// Leads to more than was granted, alone or with other permissions.
    Escalation,
}

/// A permission from this weight on is high-risk.
pub const HIGH_RISK: f64 = 20.0;

/// One permission.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Permission {
    /// Its name, unique in the catalogue, such as `get core/pods/log`.
    pub name: String,
    /// What an unused grant of it on every resource adds to the mass.
    pub weight: f64,
    /// The type of its resources. Permissions of one type have the same places, so that a number means the same place for each of them; places
    /// of different types have nothing in common.
    pub resource_type: u32,
    /// How many resources its type has; at least 1.
    pub resources: u32,
    /// What it can do.
    pub level: Level,
    /// Whether its weight was derived from its verb alone, because its resource is not in the catalogue's source.
    pub assumed: bool,
}

impl Permission {
    /// Whether it can leak, disrupt, remove or escalate.
    pub fn high_risk(&self) -> bool {
        self.weight >= HIGH_RISK
    }
}

/// One way to escalate: every permission of it is needed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Method {
    /// The name of the way, such as `pods-exec`. Variants of one way share it.
    pub name: String,
    /// What it leads to, for people.
    pub title: String,
    /// The permissions, in ascending order.
    pub permissions: Vec<PermissionId>,
}

/// Permissions, methods, and what they add up to.
#[derive(Clone, PartialEq, Debug)]
pub struct Catalogue {
    version: String,
    permissions: Vec<Permission>,
    methods: Vec<Method>,
    mass: f64,
}

impl Catalogue {
    /// A catalogue with its permissions sorted by name: sums run in this order, so that equal inputs give equal scores. The methods name
    /// permissions by their index in `permissions` as given.
    pub fn new(version: String, permissions: Vec<Permission>, methods: Vec<Method>) -> Self {
        let mut order: Vec<PermissionId> = (0..permissions.len()).collect();
        order.sort_by(|a, b| permissions[*a].name.cmp(&permissions[*b].name));
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, from)| place[*from] = to);
        let mut methods = methods;
        for method in &mut methods {
            method.permissions.iter_mut().for_each(|permission| *permission = place[*permission]);
            method.permissions.sort_unstable();
            method.permissions.dedup();
        }
        methods.sort_by(|a, b| (&a.name, &a.permissions).cmp(&(&b.name, &b.permissions)));
        methods.dedup_by(|a, b| a.name == b.name && a.permissions == b.permissions);
        let permissions: Vec<Permission> = order.into_iter().map(|from| permissions[from].clone()).collect();
        let mass = permissions.iter().map(|permission| permission.weight).sum();
        Self { version, permissions, methods, mass }
    }
    /// A catalogue of permissions that keep their order: the provider's own ids are those of the catalogue. [`Catalogue::find`] finds nothing in it
    /// reliably; ask the provider. The permissions of each method are ascending.
    pub fn in_order(version: String, permissions: Vec<Permission>, methods: Vec<Method>) -> Self {
        let mass = permissions.iter().map(|permission| permission.weight).sum();
        Self { version, permissions, methods, mass }
    }
    /// Where the catalogue comes from.
    pub fn version(&self) -> &str {
        &self.version
    }
    /// The permissions, sorted by name.
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }
    /// The ways to escalate.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }
    /// The weight of everything: what an idle administrator holds.
    pub fn mass(&self) -> f64 {
        self.mass
    }
    /// The permission with this name.
    pub fn find(&self, name: &str) -> Option<PermissionId> {
        self.permissions.binary_search_by(|permission| permission.name.as_str().cmp(name)).ok()
    }
}
