CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE flows (digest TEXT PRIMARY KEY, spec BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE jobs (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    instance TEXT NOT NULL,
    status TEXT NOT NULL,
    ownership TEXT NOT NULL,
    finished_at REAL,
    created_at REAL NOT NULL,
    head BLOB NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (ownership, status);
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE origins (
    origin INTEGER PRIMARY KEY, host TEXT NOT NULL, epoch INTEGER NOT NULL, code TEXT NOT NULL
);

CREATE TABLE messages (
    job INTEGER NOT NULL, message INTEGER NOT NULL, routine TEXT NOT NULL, slot TEXT NOT NULL,
    data BLOB NOT NULL, attempts INTEGER NOT NULL, retry_count INTEGER NOT NULL, due REAL,
    progress BLOB, PRIMARY KEY (job, message)
) WITHOUT ROWID;

CREATE TABLE history (
    job INTEGER NOT NULL, sequence INTEGER NOT NULL, message INTEGER NOT NULL,
    routine TEXT NOT NULL, slot TEXT NOT NULL, attempt INTEGER NOT NULL, outcome INTEGER NOT NULL,
    final INTEGER NOT NULL, retry_count INTEGER NOT NULL, origin INTEGER NOT NULL,
    started REAL NOT NULL, ended REAL NOT NULL, error BLOB, PRIMARY KEY (job, sequence)
) WITHOUT ROWID;

CREATE TABLE attributes (
    job INTEGER NOT NULL, routine TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL,
    value BLOB NOT NULL, PRIMARY KEY (job, routine, key, name)
) WITHOUT ROWID;

CREATE TABLE shared (
    job INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (job, key)
) WITHOUT ROWID;

CREATE TABLE questions (
    job INTEGER NOT NULL, question TEXT NOT NULL, message INTEGER NOT NULL, routine TEXT NOT NULL,
    slot TEXT NOT NULL, prompt TEXT NOT NULL, since REAL NOT NULL, due REAL,
    PRIMARY KEY (job, question)
) WITHOUT ROWID;

CREATE TABLE logs (
    job INTEGER NOT NULL, sequence INTEGER NOT NULL, routine TEXT NOT NULL,
    message INTEGER NOT NULL, attempt INTEGER NOT NULL, at REAL NOT NULL, stream TEXT NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (job, sequence)
) WITHOUT ROWID;

CREATE TABLE blob_refs (
    job INTEGER NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (job, digest)
) WITHOUT ROWID;

CREATE TABLE handoffs (
    role TEXT NOT NULL, m TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (role, m)
) WITHOUT ROWID;

CREATE TABLE peers (name TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE invites (public_key TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE commands (command TEXT PRIMARY KEY, reply BLOB NOT NULL, at REAL NOT NULL) WITHOUT ROWID;

CREATE TABLE starts (pool TEXT PRIMARY KEY, times INTEGER NOT NULL, not_before REAL NOT NULL)
WITHOUT ROWID;
