//! What one identity did on one day.
use super::codec::{Reader, Writer};
use std::collections::BTreeMap;

/// What was done, by the ids of its names. The id 0 is the empty text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct What {
    /// The operation.
    pub operation: u32,
    /// The resource.
    pub resource: u32,
    /// The context.
    pub context: u32,
}

/// How often, and the second of the day of the last time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// 0 to 86,399.
    pub last: u32,
}

impl Times {
    /// Adds others. The order does not matter.
    pub fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.last = self.last.max(other.last);
    }
}

/// A day of an identity: rows in the order of what was done, each once.
pub type Rows = Vec<(What, Times)>;

/// A day of an identity that is being written: the rows of the disk, and new ones.
#[derive(Default, Debug)]
pub struct Block {
    rows: Rows,
    new: BTreeMap<What, Times>,
}

impl Block {
    /// The rows of the disk.
    pub fn new(rows: Rows) -> Self {
        Self { rows, new: BTreeMap::new() }
    }
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len() + self.new.len()
    }
    fn find(&self, what: &What) -> Result<usize, usize> {
        self.rows.binary_search_by(|(known, _)| known.cmp(what))
    }
    /// Whether there is a row.
    pub fn contains(&self, what: &What) -> bool {
        self.new.contains_key(what) || self.find(what).is_ok()
    }
    /// Adds to a row.
    pub fn add(&mut self, what: What, times: Times) {
        match self.find(&what) {
            Ok(at) => self.rows[at].1.add(times),
            Err(_) => self.new.entry(what).or_default().add(times),
        }
    }
    /// All rows, in order.
    pub fn into_rows(self) -> Rows {
        let Self { mut rows, new } = self;
        rows.extend(new);
        // Two ordered runs, which this merges.
        rows.sort_by_key(|(what, _)| *what);
        rows
    }
}

/// Writes rows. Names are differences to those before, so most of them need one byte.
pub fn encode(rows: &[(What, Times)]) -> Vec<u8> {
    let mut writer = Writer::new();
    let (mut operation, mut resource) = (0, 0);
    for (what, times) in rows {
        if what.operation != operation {
            resource = 0;
        }
        writer.number(u64::from(what.operation - operation));
        writer.number(u64::from(what.resource - resource));
        writer.number(u64::from(what.context));
        writer.number(times.count);
        writer.number(u64::from(times.last));
        (operation, resource) = (what.operation, what.resource);
    }
    writer.finish()
}

/// Reads rows.
///
/// # Errors
/// What is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<Rows, String> {
    let mut reader = Reader::new(bytes)?;
    let (mut operation, mut resource) = (0u32, 0u32);
    let mut rows = Rows::new();
    let sum = |a: u32, b: u32| a.checked_add(b).ok_or("a name's id of more than 32 bits");
    while !reader.is_at_end() {
        let step: u32 = reader.small()?;
        if step > 0 {
            resource = 0;
        }
        operation = sum(operation, step)?;
        resource = sum(resource, reader.small()?)?;
        let what = What { operation, resource, context: reader.small()? };
        let times = Times { count: reader.number()?, last: reader.small()? };
        if times.last >= 86_400 {
            return Err(format!("second {} of a day", times.last));
        }
        if rows.last().is_some_and(|(before, _)| *before >= what) {
            return Err("rows that are not in order".into());
        }
        rows.push((what, times));
    }
    Ok(rows)
}

/// The id of one of a few texts that an event names: what a full block and a full dictionary fall back to.
pub const EMPTY: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(operation: u32, resource: u32, context: u32, count: u64, last: u32) -> (What, Times) {
        (What { operation, resource, context }, Times { count, last })
    }

    #[test]
    fn blocks_come_back() {
        let rows = [
            row(1, 0, 0, 1, 0),
            row(1, 7, 3, 2, 5),
            row(1, 7, 9, u64::MAX, 86_399),
            row(4, 2, 0, 0, 1),
            row(u32::MAX, u32::MAX, u32::MAX, 1, 1),
        ];
        let bytes = encode(&rows);
        assert_eq!(decode(&bytes).unwrap(), rows);
        assert_eq!(encode(&[row(1, 2, 3, 4, 5)]).len(), 6);
        (1..bytes.len()).for_each(|n| assert!(decode(&bytes[..n]).map_or(true, |cut| cut.len() < rows.len())));
        assert_eq!(decode(&encode(&[])).unwrap(), []);
        // The same row twice; a day has 86,400 seconds.
        assert!(decode(&[1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0]).is_err());
        assert!(decode(&encode(&[row(1, 1, 1, 1, 86_400)])).is_err());
    }

    #[test]
    fn new_rows_come_between_those_of_the_disk() {
        let mut block = Block::new(vec![row(1, 0, 0, 1, 9), row(3, 0, 0, 1, 9)]);
        for (what, times) in [row(2, 0, 0, 1, 5), row(3, 0, 0, 2, 4), row(2, 0, 0, 1, 6), row(0, 0, 0, 0, 1)] {
            block.add(what, times);
        }
        assert_eq!((block.len(), block.contains(&row(2, 0, 0, 0, 0).0), block.contains(&row(4, 0, 0, 0, 0).0)), (4, true, false));
        assert_eq!(block.into_rows(), [row(0, 0, 0, 0, 1), row(1, 0, 0, 1, 9), row(2, 0, 0, 2, 6), row(3, 0, 0, 3, 9)]);
    }
}
