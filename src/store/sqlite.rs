//! The database file: opening, locking, and the threads that own its
//! connections.
//!
//! Invariant: one process writes a state directory (an exclusive lock file)
//! and one thread of it writes the database, so a write never waits for a
//! lock. Lists are read on a second, read-only connection: in WAL mode a
//! reader sees the last commit and delays none.
//!
//! A job that was handed over is done even when its caller stops waiting.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{StoreError, schema};

/// The database's name in the state directory.
const DATABASE: &str = "evictd.db";
/// The lock file's name in the state directory.
const LOCK: &str = "evictd.lock";
/// How many jobs may wait for a connection; callers beyond that wait to hand
/// theirs over.
const JOBS_MAX: usize = 64;
/// How long to wait for another process's lock, e.g. a backup's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How large the write-ahead log stays after a checkpoint.
const WAL_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// Prepared statements kept per connection: more than the store has.
const STATEMENTS_MAX: usize = 64;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A connection and the thread that owns it.
#[derive(Debug)]
struct Worker {
    /// `None` only while it is dropped: closing the queue ends the thread.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(name: &str, mut connection: Connection) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(JOBS_MAX);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    async fn run<T, E>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody waits any more: the work is done all the same.
            let _ = answer.send(job(connection));
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Stopped)?;
        jobs.send(job).await.map_err(|_| StoreError::Stopped)?;
        // The sender is dropped unused only when the job panicked.
        answered.await.map_err(|_| StoreError::Stopped)?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in a job was reported to its caller as `Stopped`.
            let _ = thread.join();
        }
    }
}

/// The open database. Dropping it finishes the jobs handed over, closes the
/// connections and then gives up the lock, in that order of fields.
#[derive(Debug)]
pub(super) struct Database {
    reader: Worker,
    writer: Worker,
    _lock: File,
}

impl Database {
    /// Locks the directory, opens or creates the database in it and brings its
    /// schema up to date. Blocks.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        create_private(directory)?;
        let lock = lock(&directory.join(LOCK))?;
        let path = directory.join(DATABASE);
        let writer = open_writer(&path)?;
        let reader = open_reader(&path)?;
        let start = |name, connection| {
            Worker::start(name, connection).map_err(|error| io_error(directory, error))
        };
        Ok(Self {
            reader: start("store-read", reader)?,
            writer: start("store-write", writer)?,
            _lock: lock,
        })
    }

    /// Runs a job on the one connection that writes.
    pub(super) async fn write<T, E>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.run(job).await
    }

    /// Runs a job on the read-only connection.
    pub(super) async fn read<T, E>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.reader.run(job).await
    }
}

/// A transaction that writes: all of it or, when dropped, nothing.
pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Opens the connection that writes; `synchronous=FULL` flushes every commit
/// to the disk before it is reported done.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    schema::migrate(&mut connection)?;
    Ok(connection)
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Creates the directory for this user alone: it will hold names and addresses.
fn create_private(directory: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(directory)
        .map_err(|error| io_error(directory, error))
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| io_error(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(io_error(path, error)),
    }
}

fn io_error(path: &Path, error: io::Error) -> StoreError {
    StoreError::Io {
        path: path.display().to_string(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_until_the_first_has_closed() {
        let directory = tempfile::tempdir().unwrap();
        let first = Database::open(directory.path()).unwrap();
        assert!(matches!(
            Database::open(directory.path()),
            Err(StoreError::InUse { path }) if path.ends_with(LOCK)
        ));
        drop(first);
        Database::open(directory.path()).unwrap();
    }

    #[test]
    fn the_writer_flushes_every_commit_to_a_write_ahead_log() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open_writer(&directory.path().join(DATABASE)).unwrap();
        let pragma = |name| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
        assert_eq!(pragma("synchronous"), 2_i64.into());
        assert_eq!(pragma("foreign_keys"), 1_i64.into());
    }

    #[tokio::test]
    async fn the_reader_cannot_write() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path()).unwrap();
        let refused = database
            .read(|connection| {
                connection.execute("DELETE FROM positions", ())?;
                Ok::<_, StoreError>(())
            })
            .await;
        assert!(matches!(refused, Err(StoreError::ReadOnly)));
    }

    #[tokio::test]
    async fn a_job_that_panics_stops_the_store_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path()).unwrap();
        let answer: Result<(), StoreError> = database.write(|_| panic!("on purpose")).await;
        assert!(matches!(answer, Err(StoreError::Stopped)));
        let answer: Result<(), StoreError> = database.write(|_| Ok(())).await;
        assert!(matches!(answer, Err(StoreError::Stopped)));
    }

    #[test]
    fn a_directory_that_is_a_file_is_named_in_the_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            Database::open(file.path()),
            Err(StoreError::Io { path, .. }) if path == file.path().display().to_string()
        ));
    }

    #[test]
    fn a_file_that_is_no_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(DATABASE), [b'x'; 8192]).unwrap();
        assert!(matches!(
            Database::open(directory.path()),
            Err(StoreError::Corrupt { .. })
        ));
    }
}
