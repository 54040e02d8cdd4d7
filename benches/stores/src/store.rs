//! The stores behind one small interface, each configured for the job of the index.

use crate::data::{Key, Meta, Shape, key};
use fjall::compaction::Leveled;
use fjall::config::CompressionPolicy;
use fjall::{CompressionType, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const KINDS: &str = "redb redb-plain redb-check fjall fjall-small fjall-blob";

const CACHE_BYTES: usize = 32 << 20;

pub type Outcome<T> = Result<T, String>;

pub trait Store: Send + Sync {
    /// One atomic group commit, after which a SIGKILL must lose nothing that is older than a second.
    fn commit(&self, shape: Shape, puts: &[u64], deletes: &[u64]) -> Outcome<()>;
    /// Whether there is a record; `with` sees it.
    fn get(&self, key: &Key, with: &mut dyn FnMut(&[u8])) -> Outcome<bool>;
    /// Every key and value of `meta`; the first error ends the scan.
    fn scan_meta(&self, with: &mut dyn FnMut(&[u8], &[u8])) -> Outcome<()>;
    fn close(self: Box<Self>) -> Outcome<()>;
}

pub fn open(kind: &str, dir: &Path) -> Outcome<Box<dyn Store>> {
    Ok(match kind {
        "redb" => Box::new(Redb::open(dir, true, false)?),
        "redb-plain" => Box::new(Redb::open(dir, false, false)?),
        "redb-check" => Box::new(Redb::open(dir, true, true)?),
        "fjall" => Box::new(Fjall::open(dir, 24 << 20, false)?),
        "fjall-small" => Box::new(Fjall::open(dir, 4 << 20, false)?),
        "fjall-blob" => Box::new(Fjall::open(dir, 24 << 20, true)?),
        other => return Err(format!("no store {other:?}; there are: {KINDS}")),
    })
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// In the order of the keys: kind to a B-tree, and nothing to an LSM tree.
fn sorted(ids: &[u64]) -> Vec<(Key, u64)> {
    let mut keys: Vec<_> = ids.iter().map(|&id| (key(id), id)).collect();
    keys.sort_unstable();
    keys
}

const META: TableDefinition<&Key, &Meta> = TableDefinition::new("meta");
const RECORDS: TableDefinition<&Key, &[u8]> = TableDefinition::new("records");

/// Each group commit is `Durability::Immediate`: `Eventual` is gone, and `None` would lose everything since
/// the last immediate commit. With `quick_repair`, commits also keep the allocator state and are in two
/// phases. A get is a read transaction of its own, as it must see the newest commit and must not pin old
/// pages.
struct Redb {
    db: redb::Database,
    quick_repair: bool,
}

impl Redb {
    fn open(dir: &Path, quick_repair: bool, check: bool) -> Outcome<Self> {
        let db = redb::Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(check)
            .create(dir.join("index.redb"))
            .map_err(text)?;
        // A read of a table that was never made is an error, so make both at once.
        let this = Self { db, quick_repair };
        this.commit(Shape { bodies: 0 }, &[], &[])?;
        Ok(this)
    }
}

impl Store for Redb {
    fn commit(&self, shape: Shape, puts: &[u64], deletes: &[u64]) -> Outcome<()> {
        let mut txn = self.db.begin_write().map_err(text)?;
        txn.set_durability(Durability::Immediate).map_err(text)?;
        txn.set_quick_repair(self.quick_repair);
        {
            let mut meta = txn.open_table(META).map_err(text)?;
            let mut records = txn.open_table(RECORDS).map_err(text)?;
            let mut record = Vec::new();
            for (key, _) in sorted(deletes) {
                meta.remove(&key).map_err(text)?;
                records.remove(&key).map_err(text)?;
            }
            for (key, id) in sorted(puts) {
                shape.record(id, &mut record);
                meta.insert(&key, &shape.meta(id)).map_err(text)?;
                records.insert(&key, record.as_slice()).map_err(text)?;
            }
        }
        txn.commit().map_err(text)
    }

    fn get(&self, key: &Key, with: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let txn = self.db.begin_read().map_err(text)?;
        let records = txn.open_table(RECORDS).map_err(text)?;
        let found = records.get(key).map_err(text)?;
        Ok(found.inspect(|record| with(record.value())).is_some())
    }

    fn scan_meta(&self, with: &mut dyn FnMut(&[u8], &[u8])) -> Outcome<()> {
        let txn = self.db.begin_read().map_err(text)?;
        for entry in txn.open_table(META).map_err(text)?.iter().map_err(text)? {
            let (key, meta) = entry.map_err(text)?;
            with(key.value(), meta.value());
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.db.close().map_err(text)
    }
}

/// Each batch goes to the kernel (`PersistMode::Buffer`), which a SIGKILL cannot undo, and the first batch of
/// a second syncs the journal. Memtables of 24 and 8 MiB, and the smallest journal limit that is allowed,
/// because journals count against the byte ceiling too. Nothing is compressed, so that sizes can be compared.
/// `small` has smaller memtables, and so more chances to give files back; `blob` keeps values over 1 KiB out
/// of the tree.
struct Fjall {
    db: fjall::Database,
    meta: fjall::Keyspace,
    records: fjall::Keyspace,
    synced: Mutex<Instant>,
}

impl Fjall {
    fn open(dir: &Path, memtable: u64, blob: bool) -> Outcome<Self> {
        let db = fjall::Database::builder(dir.join("index.fjall"))
            .cache_size(CACHE_BYTES as u64)
            .max_journaling_size(64 << 20)
            .journal_compression(CompressionType::None)
            .open()
            .map_err(text)?;
        let options = |memtable: u64, blob: bool| {
            let separation = KvSeparationOptions::default().compression(CompressionType::None);
            KeyspaceCreateOptions::default()
                .max_memtable_size(memtable)
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(16 << 20)))
                .with_kv_separation(blob.then_some(separation.separation_threshold(1024)))
        };
        let meta = db.keyspace("meta", || options(memtable / 3, false)).map_err(text)?;
        let records = db.keyspace("records", || options(memtable, blob)).map_err(text)?;
        Ok(Self { db, meta, records, synced: Mutex::new(Instant::now()) })
    }
}

impl Store for Fjall {
    fn commit(&self, shape: Shape, puts: &[u64], deletes: &[u64]) -> Outcome<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        let mut record = Vec::new();
        for (key, _) in sorted(deletes) {
            batch.remove(&self.meta, key);
            batch.remove(&self.records, key);
        }
        for (key, id) in sorted(puts) {
            shape.record(id, &mut record);
            batch.insert(&self.meta, key, shape.meta(id));
            batch.insert(&self.records, key, record.as_slice());
        }
        batch.commit().map_err(text)?;
        let mut synced = self.synced.lock().unwrap();
        if synced.elapsed() >= Duration::from_secs(1) {
            self.db.persist(PersistMode::SyncData).map_err(text)?;
            *synced = Instant::now();
        }
        Ok(())
    }

    fn get(&self, key: &Key, with: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let found = self.records.get(key).map_err(text)?;
        Ok(found.inspect(|record| with(record)).is_some())
    }

    fn scan_meta(&self, with: &mut dyn FnMut(&[u8], &[u8])) -> Outcome<()> {
        for entry in self.meta.iter() {
            let (key, meta) = entry.into_inner().map_err(text)?;
            with(&key, &meta);
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.db.persist(PersistMode::SyncAll).map_err(text)
    }
}
