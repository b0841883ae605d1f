//! What survives a kill of the supervisor: one JSON file per environment.
//!
//! A record is written to a temporary file, synced, and renamed over the old one (rename(2) is atomic), then the
//! directory is synced: at any instant the file is the old record or the new one, whole.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    requests::Request,
    state::{Candidate, Intent, Life, Promised, Stage, State},
};
use crate::words::{EnvironmentName, Failure, GenerationNumber, Revision, RevisionNumber};

/// Version of the record's form; a record of another version is refused, never guessed at.
const FORMAT: u32 = 1;

/// The journal of all environments.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
}

/// What is kept of one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    name: EnvironmentName,
    intent: Intent,
    newest: RevisionNumber,
    newest_generation: GenerationNumber,
    promised: Option<RevisionNumber>,
    candidate: Option<RevisionNumber>,
    previous: Option<RevisionNumber>,
    stopped: Option<RevisionNumber>,
    last_failure: Option<Failure>,
    revisions: BTreeMap<RevisionNumber, Revision>,
    requests: VecDeque<Request>,
}

/// The journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file operation failed.
    #[error("{operation} {path}; check the disk of the state directory")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A record is not what this version writes.
    #[error("read the journal record {path}: {problem}; start the version that wrote it, or move the file away")]
    Unreadable { path: PathBuf, problem: String },
}

impl Journal {
    /// The journal in `<state dir>/environments`, made if it is not there.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        let directory = state_dir.join("environments");
        fs::create_dir_all(&directory).map_err(failed("create", &directory))?;
        Ok(Self { directory })
    }

    /// Makes a record durable. When this returns, a kill at any time finds it.
    pub fn write(&self, record: &Record) -> Result<(), JournalError> {
        let path = self.path(&record.name);
        let temporary = path.with_extension("json.new");
        let bytes = serde_json::to_vec(record).expect("a record has string keys only");
        let mut file = File::create(&temporary).map_err(failed("create", &temporary))?;
        file.write_all(&bytes).map_err(failed("write", &temporary))?;
        file.sync_all().map_err(failed("sync", &temporary))?;
        fs::rename(&temporary, &path).map_err(failed("rename", &temporary))?;
        self.sync_directory()
    }

    /// Forgets an environment.
    pub fn remove(&self, name: &EnvironmentName) -> Result<(), JournalError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => self.sync_directory(),
        }
    }

    /// All records, and the half-written files of a killed supervisor removed.
    pub fn read_all(&self) -> Result<Vec<Record>, JournalError> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed("list", &self.directory))? {
            let path = entry.map_err(failed("list", &self.directory))?.path();
            match path.extension().and_then(|it| it.to_str()) {
                Some("new") => fs::remove_file(&path).map_err(failed("remove", &path))?,
                Some("json") => records.push(read(&path)?),
                _ => {}
            }
        }
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    fn path(&self, name: &EnvironmentName) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    fn sync_directory(&self) -> Result<(), JournalError> {
        File::open(&self.directory).and_then(|it| it.sync_all()).map_err(failed("sync", &self.directory))
    }
}

impl Record {
    /// What of a state is kept.
    pub fn of(name: &EnvironmentName, state: &State, requests: &VecDeque<Request>) -> Self {
        Self {
            format: FORMAT,
            name: name.clone(),
            intent: state.intent,
            newest: state.newest,
            newest_generation: state.newest_generation,
            promised: state.promised.map(|it| it.revision),
            candidate: state.candidate.map(|it| it.revision),
            previous: state.previous,
            stopped: state.stopped,
            last_failure: state.last_failure.clone(),
            revisions: state.revisions.clone(),
            requests: requests.clone(),
        }
    }

    /// The environment's name.
    pub fn name(&self) -> &EnvironmentName {
        &self.name
    }

    /// The state to recover from, and the requests that are remembered.
    pub fn restore(self) -> (State, VecDeque<Request>) {
        let promised = self.promised.map(|revision| Promised { revision, life: Life::Pausing });
        let candidate = self.candidate.map(|revision| Candidate { ticket: 0, revision, stage: Stage::Preparing });
        let state = State {
            revisions: self.revisions,
            newest: self.newest,
            // Generations are numbered between two records too; those of the last run are skipped over.
            newest_generation: self.newest_generation + GENERATIONS_UNRECORDED_MAX,
            intent: self.intent,
            promised,
            candidate,
            previous: self.previous,
            stopped: self.stopped,
            last_failure: self.last_failure,
            ..State::default()
        };
        (state, self.requests)
    }
}

/// More crash restarts than can happen between two records: one a minute, at the longest pause, for two years.
const GENERATIONS_UNRECORDED_MAX: u64 = 1_000_000;

fn read(path: &Path) -> Result<Record, JournalError> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    let unreadable = |problem: String| JournalError::Unreadable { path: path.into(), problem };
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    if record.format != FORMAT {
        return Err(unreadable(format!("its format is {}, this version reads {FORMAT}", record.format)));
    }
    Ok(record)
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.into();
    move |source| JournalError::Io { operation, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::samples;

    fn record() -> Record {
        let revision = Revision { number: 3, spec: samples::spec(), image: "image:1".into() };
        let state = State {
            revisions: [(3, revision)].into(),
            newest: 3,
            promised: Some(Promised { revision: 3, life: Life::Serving(7) }),
            newest_generation: 7,
            ..State::default()
        };
        Record::of(&"etl".parse().expect("a name"), &state, &VecDeque::new())
    }

    #[test]
    fn a_record_reads_back_and_generations_are_not_numbered_twice() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let journal = Journal::open(dir.path()).expect("writable");
        journal.write(&record()).expect("room");
        let read = Journal::open(dir.path()).and_then(|journal| journal.read_all()).expect("readable");
        assert_eq!(read, [record()]);
        let (state, _) = record().restore();
        assert_eq!(state.promised, Some(Promised { revision: 3, life: Life::Pausing }));
        assert!(state.newest_generation > 7);
    }

    #[test]
    fn a_half_written_record_is_removed_and_the_old_one_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let journal = Journal::open(dir.path()).expect("writable");
        journal.write(&record()).expect("room");
        let half = dir.path().join("environments/etl.json.new");
        fs::write(&half, b"{\"form").expect("room");
        assert_eq!(journal.read_all().expect("readable"), [record()]);
        assert!(!half.exists());
    }

    #[test]
    fn a_record_that_this_version_cannot_read_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let journal = Journal::open(dir.path()).expect("writable");
        let mut value = serde_json::to_value(record()).expect("plain data");
        value["format"] = 99.into();
        fs::write(dir.path().join("environments/etl.json"), value.to_string()).expect("room");
        let error = journal.read_all().expect_err("format 99").to_string();
        assert!(error.contains("etl.json") && error.contains("99"), "{error}");
    }
}
