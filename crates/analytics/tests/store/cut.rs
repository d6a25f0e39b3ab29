//! A disk that stops at any operation, with any of the writes on it that were not synced.
use crate::model::{Model, Random, Rows, SOURCE, SYSTEM, batch, rows};
use curfew_analytics::store::{Store, StoreError, UsageEvent};
use redb::StorageBackend;
use std::{
    io,
    sync::{Arc, Mutex},
};

/// What was done to a disk.
#[derive(Clone, Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    Resize(u64),
    Sync,
}

#[derive(Default, Debug)]
struct Disk {
    bytes: Vec<u8>,
    done: Vec<Operation>,
    /// The number of operations after which each one fails.
    fails_after: Option<usize>,
}

impl Disk {
    fn apply(bytes: &mut Vec<u8>, operation: &Operation) {
        match operation {
            Operation::Write(offset, data) => {
                let (from, to) = (*offset as usize, *offset as usize + data.len());
                bytes.resize(bytes.len().max(to), 0);
                bytes[from..to].copy_from_slice(data);
            }
            Operation::Resize(length) => bytes.resize(*length as usize, 0),
            Operation::Sync => {}
        }
    }
    fn act(&mut self, operation: Operation) -> io::Result<()> {
        if self.fails_after.is_some_and(|limit| self.done.len() >= limit) {
            return Err(io::Error::other("the disk is gone"));
        }
        Self::apply(&mut self.bytes, &operation);
        self.done.push(operation);
        Ok(())
    }
}

#[derive(Clone, Default, Debug)]
struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    fn operations(&self) -> usize {
        self.0.lock().unwrap().done.len()
    }
}

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.lock().unwrap();
        let from = offset as usize;
        out.copy_from_slice(disk.bytes.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap().act(Operation::Resize(length))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().unwrap().act(Operation::Sync)
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().act(Operation::Write(offset, data.to_vec()))
    }
}

/// The batches of the tests: each repeats events of the ones before.
fn batches() -> Vec<Vec<UsageEvent<'static>>> {
    let mut random = Random(42);
    let mut all: Vec<UsageEvent> = Vec::new();
    (0..5)
        .map(|number| {
            let new = random.events(number * 12, 12);
            all.extend(new.clone());
            let again = (0..6).map(|_| all[random.below(all.len())].clone());
            let mixed = [new, again.collect()].concat();
            random.shuffled(mixed)
        })
        .collect()
}

/// The rows after so many batches.
fn expected(batches: &[Vec<UsageEvent<'static>>]) -> Rows {
    Model::of(batches.iter().flatten()).rows
}

fn committed(store: &Store) -> usize {
    store.watermark(SYSTEM, SOURCE).unwrap().map_or(0, |watermark| watermark.parse().unwrap())
}

/// Reads on from the watermark, as a process does when it starts.
fn go_on(store: &Store, batches: &[Vec<UsageEvent<'static>>]) -> Result<(), StoreError> {
    for (number, events) in batches.iter().enumerate().skip(committed(store)) {
        store.ingest(&batch(Some(&(number + 1).to_string())), events.iter().cloned())?;
    }
    Ok(())
}

fn open(bytes: Vec<u8>) -> Result<Store, StoreError> {
    let disk = Disk { bytes, ..Disk::default() };
    Store::with_backend(Shared(Arc::new(Mutex::new(disk))), Default::default())
}

/// What can be on a disk after a crash behind these operations: everything up to the last sync, and of the others none, all, or some, the
/// last of them torn.
fn images(done: &[Operation], random: &mut Random) -> Vec<Vec<u8>> {
    let synced = done.iter().rposition(|operation| matches!(operation, Operation::Sync)).map_or(0, |at| at + 1);
    let mut bytes = Vec::new();
    done[..synced].iter().for_each(|operation| Disk::apply(&mut bytes, operation));
    let image = |operations: Vec<Operation>| {
        let mut image = bytes.clone();
        operations.iter().for_each(|operation| Disk::apply(&mut image, operation));
        image
    };
    let loose = &done[synced..];
    let mut some = || {
        let mut some: Vec<Operation> = loose.iter().filter(|_| random.below(2) == 0).cloned().collect();
        if let Some(Operation::Write(_, data)) = some.last_mut() {
            data.truncate(random.below(data.len()));
        }
        some
    };
    match loose.len() {
        0 => vec![image(Vec::new())],
        1 => vec![image(Vec::new()), image(loose.to_vec()), image(some())],
        _ => vec![image(Vec::new()), image(loose.to_vec()), image(some()), image(some()), image(some())],
    }
}

#[test]
fn a_store_that_is_cut_at_every_write_has_whole_batches_and_reads_on() {
    let batches = batches();
    let disk = Shared::default();
    let store = Store::with_backend(disk.clone(), Default::default()).unwrap();
    let mut acknowledged = vec![disk.operations()];
    for (number, events) in batches.iter().enumerate() {
        store.ingest(&batch(Some(&(number + 1).to_string())), events.iter().cloned()).unwrap();
        acknowledged.push(disk.operations());
    }
    drop(store);
    let done = disk.0.lock().unwrap().done.clone();
    let mut random = Random(7);
    let (mut cuts, mut partly) = (0, 0);
    for cut in acknowledged[0]..=done.len() {
        let least = acknowledged.iter().rposition(|at| *at <= cut).unwrap();
        for image in images(&done[..cut], &mut random) {
            let store = open(image).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            let found = committed(&store);
            assert!(found == least || found == least + 1, "cut at {cut}: {found} batches, and {least} were acknowledged");
            assert_eq!(rows(&store), expected(&batches[..found]), "cut at {cut}: rows and watermark belong together");
            go_on(&store, &batches).unwrap();
            assert_eq!(rows(&store), expected(&batches), "cut at {cut}");
            (cuts, partly) = (cuts + 1, partly + usize::from(found > least));
        }
    }
    println!("{cuts} images of {} operations; in {partly} the batch was on the disk before it was acknowledged", done.len());
    assert!(cuts > 100);
}

/// The same, as the process sees it: an error, and after the next start whole batches.
#[test]
fn a_disk_that_fails_at_any_operation_is_an_error_and_loses_nothing() {
    let batches = batches();
    let disk = Shared::default();
    let mut acknowledged = 0;
    let mut limit = {
        drop(Store::with_backend(disk.clone(), Default::default()).unwrap());
        disk.operations()
    };
    // Each start gets a few more operations than the last one, so every commit is cut at several places.
    for start in 0.. {
        disk.0.lock().unwrap().fails_after = Some(limit);
        limit = disk.operations() + 1 + start;
        let Ok(store) = Store::with_backend(disk.clone(), Default::default()) else { continue };
        assert!(committed(&store) >= acknowledged);
        assert_eq!(rows(&store), expected(&batches[..committed(&store)]));
        match go_on(&store, &batches) {
            Ok(()) => break,
            Err(error) => {
                assert!(matches!(error, StoreError::Storage(_)) && error.to_string().starts_with("cannot read or write"), "{error}")
            }
        }
        acknowledged = committed_or(&store, acknowledged);
    }
    disk.0.lock().unwrap().fails_after = None;
    let store = Store::with_backend(disk.clone(), Default::default()).unwrap();
    assert_eq!((committed(&store), rows(&store)), (batches.len(), expected(&batches)));
}

/// The watermark, if the store can still be read after an error.
fn committed_or(store: &Store, otherwise: usize) -> usize {
    store.watermark(SYSTEM, SOURCE).ok().flatten().map_or(otherwise, |watermark| watermark.parse().unwrap())
}

/// A file that was cut while the store was made for the first time does not have the store's name yet, and is made again.
#[test]
fn a_store_that_is_cut_while_it_is_made_is_made_again() {
    let disk = Shared::default();
    drop(Store::with_backend(disk.clone(), Default::default()).unwrap());
    let done = disk.0.lock().unwrap().done.clone();
    let mut random = Random(3);
    let directory = tempfile::tempdir().unwrap();
    let (path, new) = (directory.path().join("usage.redb"), directory.path().join("usage.redb.new"));
    for cut in 0..done.len() {
        for image in images(&done[..cut], &mut random) {
            std::fs::write(&new, image).unwrap();
            let store = Store::open(&path, Default::default()).unwrap_or_else(|error| panic!("cut at {cut} of {}: {error}", done.len()));
            assert!(rows(&store).is_empty() && path.exists() && !new.exists());
            go_on(&store, &batches()[..1]).unwrap();
            drop(store);
            std::fs::remove_file(&path).unwrap();
        }
    }
    // Another process makes it now.
    let _other = Store::open(&new, Default::default()).unwrap();
    assert!(matches!(Store::open(&path, Default::default()).unwrap_err(), StoreError::Locked(_)));
}
