//! The predefined roles of Google Cloud.
use super::{Weighted, catalogue, gcp_weights};
use crate::{
    catalogue::Catalogue,
    embedded::{Error, records, unpack},
};
use roaring::RoaringBitmap;
use std::sync::OnceLock;

/// A predefined role.
#[derive(Clone, PartialEq, Debug)]
pub struct Role {
    /// Its name, such as `roles/viewer`.
    pub name: String,
    /// Its launch stage: `GA`, `BETA`, `ALPHA`, `DEPRECATED`.
    pub stage: String,
    /// Its name for people.
    pub title: String,
    /// The ids of its permissions; none if what it permits is not public.
    pub permissions: Option<RoaringBitmap>,
}

/// Permissions in ascending order, and the roles by name.
#[derive(Clone, PartialEq, Debug)]
pub struct Roles {
    version: String,
    permissions: Vec<String>,
    weights: Vec<gcp_weights::Weight>,
    roles: Vec<Role>,
}

const FORMAT: &str = "curfew-roles-gcp";

impl Roles {
    /// Those that this program was built with.
    ///
    /// # Panics
    /// If the embedded data is broken, which a test rules out.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Roles> = OnceLock::new();
        let data = include_bytes!("../../data/roles-gcp.gz");
        BUILTIN.get_or_init(|| Self::parse(&unpack(data)).expect("the embedded roles are complete"))
    }
    /// Reads `source name version`, `permission name flags` and `role name stage title permissions`. Flags are of iam-dataset: C (credentials),
    /// D (data) and P (privilege escalation). The permissions of a role are ids and ranges of ids, or `?`.
    ///
    /// # Errors
    /// A line that is not of the format, names out of order, or an id that is too large.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut all = Self { version: String::new(), permissions: Vec::new(), weights: Vec::new(), roles: Vec::new() };
        records(FORMAT, text, |_, fields| {
            match *fields {
                ["source", name, version] => all.version = format!("{name}-{version} {}", gcp_weights::TABLE),
                ["permission", name, ref flags @ ..] if flags.len() <= 1 => all.permission(name, flags.first().unwrap_or(&""))?,
                ["role", name, stage, title, permissions] => {
                    let permissions = if permissions == "?" { None } else { Some(all.ids(permissions)?) };
                    if all.roles.last().is_some_and(|last| last.name.as_str() >= name) {
                        return Err(format!("{name} is not after the role before it"));
                    }
                    all.roles.push(Role { name: name.into(), stage: stage.into(), title: title.into(), permissions });
                }
                _ => return Err(format!("unknown record {:?}", fields[0])),
            }
            Ok(())
        })?;
        Ok(all)
    }
    fn permission(&mut self, name: &str, flags: &str) -> Result<(), String> {
        if self.permissions.last().is_some_and(|last| last.as_str() >= name) {
            return Err(format!("{name} is not after the permission before it"));
        }
        self.weights.push(gcp_weights::weight(name, flags));
        self.permissions.push(name.into());
        Ok(())
    }
    fn ids(&self, text: &str) -> Result<RoaringBitmap, String> {
        let mut ids = RoaringBitmap::new();
        for range in text.split_whitespace() {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
                return Err(format!("{range:?} is not a range"));
            };
            if first > last || last as usize >= self.permissions.len() {
                return Err(format!("no permissions {range}"));
            }
            ids.insert_range(first..=last);
        }
        Ok(ids)
    }
    /// The sources, and the table of weights.
    pub fn version(&self) -> &str {
        &self.version
    }
    /// How many permissions there are. Ids run from 0.
    pub fn len(&self) -> u32 {
        self.permissions.len() as u32
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.permissions.is_empty()
    }
    /// The id of a permission. Google Cloud compares names exactly.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.permissions.binary_search_by(|have| have.as_str().cmp(name)).ok().map(|at| at as u32)
    }
    /// A permission.
    pub fn permission_of(&self, id: u32) -> Weighted<'_> {
        let (weight, level) = self.weights[id as usize];
        Weighted { name: &self.permissions[id as usize], weight, level }
    }
    /// The roles, by name.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }
    /// The role with this name, such as `roles/viewer`.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.binary_search_by(|role| role.name.as_str().cmp(name)).ok().map(|at| &self.roles[at])
    }
    /// The catalogue of an organisation or project in which permissions are granted on `places` resources. Its ids are those of this list.
    pub fn catalogue(&self, places: u32) -> Catalogue {
        catalogue(self.version.clone(), (0..self.len()).map(|id| self.permission_of(id)), &gcp_weights::ways(), places)
    }
}
