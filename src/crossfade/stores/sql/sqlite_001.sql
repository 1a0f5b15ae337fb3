-- Keys are the bytes of their UTF-8: a BLOB compares byte by byte, whatever the key holds (text
-- would stop at a NUL in some functions), and that is the order of a listing.

-- What the file is; its first two columns never change, so that any release can read them.
CREATE TABLE about (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE migration (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
) STRICT;

-- The open keys. Beside the body stands what SQL selects by.
CREATE TABLE record (
    migration INTEGER NOT NULL,
    key BLOB NOT NULL,
    body BLOB NOT NULL,
    since REAL NOT NULL,
    due_at REAL,
    doubt_until REAL NOT NULL,
    marked INTEGER NOT NULL,
    PRIMARY KEY (migration, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_due ON record (migration, due_at, since);

-- A range ends where the next one starts, so that no key can be outside of all or in two.
CREATE TABLE key_range (
    migration INTEGER NOT NULL,
    start BLOB NOT NULL,
    sealed INTEGER NOT NULL,
    PRIMARY KEY (migration, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE extra (
    migration INTEGER NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (migration, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until REAL NOT NULL
) STRICT, WITHOUT ROWID;
