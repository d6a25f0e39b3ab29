//! Where an action can be held: spaces of resources, by the resource types of the action.
//!
//! Actions with the same types share a space, so that a place means the same resource for each of them. Types with equal shapes are one type
//! (`role` of IAM and of STS). If AWS marks types of an action as required, only these count: an optional one limits nothing by itself. An
//! action without types has the space of no types, with one place.
//!
//! Types whose names have several parts are counted by all but the last one: objects by bucket, tasks by cluster, streams by log group. Their
//! number has no bound, and policies grant them by what contains them.
use super::{
    catalogue::Actions,
    policy::glob::{covers, is_pattern, overlaps},
    usage::ActionId,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

/// The index of a space.
pub type SpaceId = u32;
/// The index of a shape.
pub type ShapeId = u32;

/// The shape of the ARNs of one or several resource types.
#[derive(Clone, Debug)]
pub struct Shape {
    /// As AWS documents it: `arn:${Partition}:s3:::${BucketName}/${ObjectName}`.
    pub pattern: String,
    /// The name of the first type with it, such as `object`.
    pub name: String,
    /// With `*` for every variable.
    glob: String,
    /// The service in the ARN; `None` if it is a variable.
    service: Option<String>,
    /// The literal texts before the last variable, if resources are counted by what contains them.
    container: Option<Vec<String>>,
    /// Shapes that go on where this one ends: what fits them is not of this shape.
    longer: Vec<ShapeId>,
}

/// The spaces of all actions. They depend on the catalogue alone.
#[derive(Debug)]
pub struct Spaces {
    shapes: Vec<Shape>,
    by_service: HashMap<String, Vec<ShapeId>>,
    /// Shapes whose service is a variable.
    of_any_service: Vec<ShapeId>,
    /// The shapes of each space, ascending.
    spaces: Vec<Vec<ShapeId>>,
    /// The spaces of each shape, ascending.
    with_shape: Vec<Vec<SpaceId>>,
    /// The space of each action.
    of_action: Vec<SpaceId>,
}

/// The texts between the variables of a shape.
fn literals(pattern: &str) -> Vec<String> {
    let mut parts = pattern.split("${");
    let mut all = vec![parts.next().unwrap_or_default().to_owned()];
    all.extend(parts.map(|part| part.split_once('}').map_or("", |(_, rest)| rest).to_owned()));
    all
}

/// The texts before the last variable, if the resource part of the ARN has several variables with a text between them.
fn container(pattern: &str, literals: &[String]) -> Option<Vec<String>> {
    let resource = pattern.splitn(6, ':').nth(5)?;
    let (last, separator) = (literals.last()?, literals.get(literals.len().checked_sub(2)?)?);
    (resource.matches("${").count() >= 2 && last.is_empty() && !separator.is_empty()).then(|| literals[..literals.len() - 1].to_vec())
}

impl Shape {
    fn new(pattern: &str, name: &str) -> Self {
        let literals = literals(pattern);
        let service = pattern.split(':').nth(2).unwrap_or_default();
        Self {
            pattern: pattern.to_owned(),
            name: name.to_owned(),
            glob: literals.join("*"),
            service: (!service.contains(['$', '*'])).then(|| service.to_owned()),
            container: container(pattern, &literals),
            longer: Vec::new(),
        }
    }
    /// An ARN, or a pattern of ARNs, with `*` for its last part if resources are counted by what contains them.
    pub fn key(&self, text: &str) -> String {
        let mut at = 0;
        for literal in self.container.iter().flatten() {
            match text[at..].find(literal.as_str()) {
                Some(found) => at += found + literal.len(),
                None => return text.to_owned(),
            }
        }
        if at == 0 { text.to_owned() } else { format!("{}*", &text[..at]) }
    }
    /// What stands for a resource of this shape in the account of which nothing else is known.
    pub fn generic(&self, partition: &str, account: &str) -> String {
        let mut text = self.pattern.replace("${Partition}", partition).replace("${Account}", account);
        while let Some(start) = text.find("${") {
            let end = text[start..].find('}').map_or(text.len(), |end| start + end + 1);
            text.replace_range(start..end, "*");
        }
        text
    }
}

impl Spaces {
    /// The spaces of the embedded catalogue.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Spaces> = OnceLock::new();
        BUILTIN.get_or_init(|| Self::of(Actions::builtin()))
    }
    /// The spaces of a catalogue.
    pub fn of(actions: &Actions) -> Self {
        let mut ids: BTreeMap<&str, ShapeId> = BTreeMap::new();
        let mut shapes = Vec::new();
        for of in actions.all_resource_types() {
            ids.entry(&of.arn_pattern).or_insert_with(|| {
                shapes.push(Shape::new(&of.arn_pattern, &of.name));
                shapes.len() as ShapeId - 1
            });
        }
        let mut by_service: HashMap<String, Vec<ShapeId>> = HashMap::new();
        let mut of_any_service = Vec::new();
        for (id, shape) in shapes.iter().enumerate() {
            match &shape.service {
                Some(service) => by_service.entry(service.clone()).or_default().push(id as ShapeId),
                None => of_any_service.push(id as ShapeId),
            }
        }
        let longer = |shape: &Shape| -> Vec<ShapeId> {
            let same = shape.service.as_ref().and_then(|service| by_service.get(service)).into_iter().flatten().copied();
            same.filter(|other| {
                let other = &shapes[*other as usize].pattern;
                other.len() > shape.pattern.len() && other.starts_with(&shape.pattern)
            })
            .collect()
        };
        let all_longer: Vec<Vec<ShapeId>> = shapes.iter().map(longer).collect();
        shapes.iter_mut().zip(all_longer).for_each(|(shape, longer)| shape.longer = longer);
        let shape_of = |id: u32| ids[actions.resource_type(id).arn_pattern.as_str()];
        let mut found: BTreeMap<Vec<ShapeId>, SpaceId> = BTreeMap::from([(Vec::new(), 0)]);
        let mut spaces = vec![Vec::new()];
        let of_action = (0..actions.len()).map(|action| {
            let required: Vec<u32> = actions.required_types(action).collect();
            let types = if required.is_empty() { actions.resource_types(action).to_vec() } else { required };
            let mut list: Vec<ShapeId> = types.into_iter().map(shape_of).collect();
            list.sort_unstable();
            list.dedup();
            *found.entry(list.clone()).or_insert_with(|| {
                spaces.push(list);
                spaces.len() as SpaceId - 1
            })
        });
        let of_action = of_action.collect();
        let mut with_shape = vec![Vec::new(); shapes.len()];
        for (space, list) in spaces.iter().enumerate() {
            list.iter().for_each(|shape| with_shape[*shape as usize].push(space as SpaceId));
        }
        Self { shapes, by_service, of_any_service, spaces, with_shape, of_action }
    }
    /// The space of an action.
    pub fn of_action(&self, action: ActionId) -> SpaceId {
        self.of_action[action as usize]
    }
    /// How many spaces there are.
    pub fn len(&self) -> usize {
        self.spaces.len()
    }
    /// Whether there are none; never, since actions without resources have one.
    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }
    /// The shapes of a space; none of that of actions without resources.
    pub fn shapes(&self, space: SpaceId) -> &[ShapeId] {
        &self.spaces[space as usize]
    }
    /// A shape.
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id as usize]
    }
    /// Every shape.
    pub fn all_shapes(&self) -> &[Shape] {
        &self.shapes
    }
    /// The spaces that have a shape.
    pub fn with_shape(&self, shape: ShapeId) -> &[SpaceId] {
        &self.with_shape[shape as usize]
    }
    /// The shapes that an ARN, or what matches a pattern of ARNs, may have.
    pub fn shapes_of(&self, text: &str) -> Vec<ShapeId> {
        let service = text.split(':').nth(2).unwrap_or_default();
        let all = || (0..self.shapes.len() as ShapeId).collect::<Vec<_>>();
        let candidates: Vec<ShapeId> = if text == "*" || service.is_empty() || service.contains(['*', '?']) {
            all()
        } else {
            self.by_service.get(service).into_iter().flatten().chain(&self.of_any_service).copied().collect()
        };
        candidates.into_iter().filter(|id| self.fits(*id, text)).collect()
    }
    fn fits(&self, id: ShapeId, text: &str) -> bool {
        let shape = self.shape(id);
        may_be_of(&shape.glob, text) && !shape.longer.iter().any(|longer| covers(&self.shape(*longer).glob, text))
    }
}

/// Whether an ARN, or what matches a pattern of ARNs, may have a shape. Variables before the resource part, such as the region, are not empty and
/// do not reach over a colon; wildcards of a policy can.
fn may_be_of(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob, text);
    for _ in 0..5 {
        let (Some((shape, shapes)), Some((field, fields))) = (glob.split_once(':'), text.split_once(':')) else { break };
        if is_pattern(field) {
            break;
        }
        if shape != field && (field.is_empty() || !covers(shape, field)) {
            return false;
        }
        (glob, text) = (shapes, fields);
    }
    overlaps(glob, text)
}
