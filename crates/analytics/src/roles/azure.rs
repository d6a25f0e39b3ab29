//! The built-in roles of Azure.
use super::{Weighted, azure_weights, catalogue};
use crate::{
    catalogue::Catalogue,
    embedded::{Error, records, unpack},
    names::{Names, Pattern},
};
use roaring::RoaringBitmap;
use std::{collections::HashMap, sync::OnceLock};

/// What an operation acts on: resources, or the data in them. Patterns of one plane never match operations of the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Plane {
    /// `Actions` and `NotActions`.
    Management,
    /// `DataActions` and `NotDataActions`.
    Data,
}

/// One block of permissions. Blocks add to one another: what one excludes another can allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    actions: Vec<Pattern>,
    not_actions: Vec<Pattern>,
    data_actions: Vec<Pattern>,
    not_data_actions: Vec<Pattern>,
    /// A condition on the block (attribute-based access control). It is not evaluated: the block counts as granted.
    pub condition: Option<String>,
}

impl Block {
    fn plane(&self, plane: Plane) -> (&[Pattern], &[Pattern]) {
        match plane {
            Plane::Management => (&self.actions, &self.not_actions),
            Plane::Data => (&self.data_actions, &self.not_data_actions),
        }
    }
}

/// A built-in role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    /// Its id, a GUID.
    pub id: String,
    /// Its name, such as `Reader`.
    pub name: String,
    /// Its blocks.
    pub blocks: Vec<Block>,
}

impl Role {
    /// Whether the role permits an operation, whether or not it is in the list of known ones. Case does not matter.
    pub fn permits(&self, operation: &str, plane: Plane) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(operation));
        self.blocks.iter().map(|block| block.plane(plane)).any(|(allowed, excluded)| any(allowed) && !any(excluded))
    }
    /// Whether a block has a condition, so that the role may permit less than it says.
    pub fn conditional(&self) -> bool {
        self.blocks.iter().any(|block| block.condition.is_some())
    }
}

/// The operations of a plane and the roles.
#[derive(Clone, PartialEq, Debug)]
pub struct Roles {
    version: String,
    management: Names,
    data: Names,
    roles: Vec<Role>,
    by_name: HashMap<String, usize>,
}

const FORMAT: &str = "curfew-roles-azure";

impl Roles {
    /// Those that this program was built with.
    ///
    /// # Panics
    /// If the embedded data is broken, which a test rules out.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Roles> = OnceLock::new();
        let data = include_bytes!("../../data/roles-azure.gz");
        BUILTIN.get_or_init(|| Self::parse(&unpack(data)).expect("the embedded roles are complete"))
    }
    /// Reads `source name version`, `role id name`, and for each of its blocks `allow actions notActions dataActions notDataActions condition`.
    /// The known operations are those that a role names without a wildcard, and those that escalate.
    ///
    /// # Errors
    /// A line that is not of the format.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mut version, mut roles, mut by_name) = (String::new(), Vec::<Role>::new(), HashMap::new());
        let (mut management, mut data) = (Vec::new(), Vec::new());
        let literal = |name: &&str| !name.contains(['*', '?']) && !name.ends_with('/');
        records(FORMAT, text, |_, fields| {
            match *fields {
                ["source", name, of] => version = format!("{name}-{of} {}", azure_weights::TABLE),
                ["role", id, name] => {
                    by_name.insert(name.to_lowercase(), roles.len());
                    by_name.insert(id.to_lowercase(), roles.len());
                    roles.push(Role { id: id.into(), name: name.into(), blocks: Vec::new() });
                }
                ["allow", actions, not_actions, data_actions, not_data_actions, condition] => {
                    let patterns = |text: &str| text.split_whitespace().map(Pattern::new).collect();
                    management.extend([actions, not_actions].into_iter().flat_map(str::split_whitespace).filter(literal));
                    data.extend([data_actions, not_data_actions].into_iter().flat_map(str::split_whitespace).filter(literal));
                    roles.last_mut().ok_or("a block before any role")?.blocks.push(Block {
                        actions: patterns(actions),
                        not_actions: patterns(not_actions),
                        data_actions: patterns(data_actions),
                        not_data_actions: patterns(not_data_actions),
                        condition: (!condition.is_empty()).then(|| condition.into()),
                    });
                }
                _ => return Err(format!("unknown record {:?}", fields[0])),
            }
            Ok(())
        })?;
        let alone = azure_weights::ways().into_iter().flat_map(|(.., operations)| operations);
        management.extend(alone);
        Ok(Self { version, management: Names::new(management), data: Names::new(data), roles, by_name })
    }
    /// The sources, and the table of weights.
    pub fn version(&self) -> &str {
        &self.version
    }
    /// The known operations of a plane. Azure has more; see [`Role::permits`].
    pub fn operations(&self, plane: Plane) -> &Names {
        match plane {
            Plane::Management => &self.management,
            Plane::Data => &self.data,
        }
    }
    /// The roles, by name.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }
    /// The role with this name or id, in upper or lower case.
    pub fn role(&self, name_or_id: &str) -> Option<&Role> {
        self.by_name.get(&name_or_id.to_lowercase()).map(|at| &self.roles[*at])
    }
    /// The known operations of a plane that a role permits.
    pub fn permitted(&self, role: &Role, plane: Plane) -> RoaringBitmap {
        let names = self.operations(plane);
        let expand = |patterns: &[Pattern]| patterns.iter().fold(RoaringBitmap::new(), |all, one| all | names.expand(one.as_str()));
        role.blocks
            .iter()
            .map(|block| block.plane(plane))
            .fold(RoaringBitmap::new(), |all, (allowed, excluded)| all | (expand(allowed) - expand(excluded)))
    }
    /// An operation with its weight.
    pub fn operation(&self, plane: Plane, id: u32) -> Weighted<'_> {
        let name = self.operations(plane).get(id);
        let (weight, level) = azure_weights::weight(name, plane);
        Weighted { name, weight, level }
    }
    /// The catalogue of the known operations, with `places` resource groups or other scopes that can be granted alone. Names of the data plane
    /// are preceded by `data:`.
    pub fn catalogue(&self, places: u32) -> Catalogue {
        let data: Vec<String> = self.data.iter().map(|name| format!("data:{name}")).collect();
        let of_data = data.iter().enumerate().map(|(id, name)| Weighted { name, ..self.operation(Plane::Data, id as u32) });
        let management = (0..self.management.len()).map(|id| self.operation(Plane::Management, id));
        let mut ways = azure_weights::ways();
        // As the list spells them.
        for operation in ways.iter_mut().flat_map(|(.., operations)| operations) {
            *operation = self.management.find(operation).map_or(*operation, |id| self.management.get(id));
        }
        catalogue(self.version.clone(), management.chain(of_data), &ways, places)
    }
}
