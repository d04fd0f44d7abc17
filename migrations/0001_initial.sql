-- Times are microseconds since 1970-01-01T00:00Z. Ids are text in lower case,
-- UUIDs with dashes, so that a prefix is a range. States, kinds and effects
-- are the names used in JSON. Nothing here is particular to SQLite but STRICT,
-- WITHOUT ROWID, NOCASE and AUTOINCREMENT.

-- How far each partition was committed. The authority: what Event Hubs thinks
-- of it does not count.
CREATE TABLE positions (
    hub          TEXT    NOT NULL,
    partition_id TEXT    NOT NULL,
    sequence     INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    PRIMARY KEY (hub, partition_id)
) STRICT, WITHOUT ROWID;

-- With a rowid, because bodies are long: a search for a user then reads an
-- index of ids and not the bodies of others.
CREATE TABLE user_memory (
    user_id TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    body    BLOB    NOT NULL
) STRICT;

CREATE TABLE cases (
    id             TEXT    NOT NULL PRIMARY KEY,
    user_id        TEXT    NOT NULL,
    principal_name TEXT    NOT NULL,
    guest          INTEGER NOT NULL CHECK (guest IN (0, 1)),
    score          INTEGER NOT NULL CHECK (score BETWEEN 0 AND 100),
    signal_count   INTEGER NOT NULL DEFAULT 0,
    opened_at      INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX cases_newest ON cases (opened_at DESC, id);

CREATE TABLE decisions (
    id          TEXT    NOT NULL PRIMARY KEY,
    case_id     TEXT    NOT NULL REFERENCES cases (id),
    record      TEXT    NOT NULL,
    effect      TEXT    NOT NULL,
    score       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    decided_at  INTEGER NOT NULL,
    policy_set  TEXT    NOT NULL,
    body        TEXT    NOT NULL
) STRICT;
CREATE INDEX decisions_of_case ON decisions (case_id, at, id);

CREATE TABLE case_signals (
    case_id TEXT    NOT NULL REFERENCES cases (id),
    name    TEXT    NOT NULL,
    record  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (case_id, name, record)
) STRICT;

-- The outbox. `round` counts how often humans were asked, so that the answers
-- to an earlier question do not answer a later one. `unattended_at` is when an
-- order to act was last admitted without a human: the guard's budget.
CREATE TABLE actions (
    id               TEXT    NOT NULL PRIMARY KEY,
    case_id          TEXT    NOT NULL REFERENCES cases (id),
    kind             TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN (
        'awaiting_approval', 'queued', 'sending', 'acknowledged',
        'refused', 'failed', 'denied', 'expired')),
    score            INTEGER NOT NULL CHECK (score BETWEEN 0 AND 100),
    approved         INTEGER NOT NULL DEFAULT 0 CHECK (approved IN (0, 1)),
    approvers_needed INTEGER NOT NULL,
    round            INTEGER NOT NULL DEFAULT 0,
    attempts         INTEGER NOT NULL DEFAULT 0,
    event_at         INTEGER NOT NULL,
    enqueued_at      INTEGER NOT NULL,
    received_at      INTEGER NOT NULL,
    committed_at     INTEGER NOT NULL,
    not_before       INTEGER NOT NULL,
    expires_at       INTEGER,
    unattended_at    INTEGER,
    queued_at        INTEGER,
    claimed_at       INTEGER,
    sent_at          INTEGER,
    acknowledged_at  INTEGER,
    last_outcome     TEXT,
    CHECK (state <> 'awaiting_approval' OR expires_at IS NOT NULL),
    CHECK (state <> 'queued' OR queued_at IS NOT NULL)
) STRICT;
-- The claim walks this from its front: highest score first, then oldest. The
-- last two columns let it pass over what is not due without reading the row.
CREATE INDEX actions_by_turn ON actions (state, score DESC, queued_at, id, kind, not_before);
CREATE INDEX actions_of_case ON actions (case_id, id);
CREATE INDEX actions_asked ON actions (state, expires_at);
CREATE INDEX actions_unattended ON actions (unattended_at) WHERE unattended_at IS NOT NULL;

-- NOCASE: one person is one person however the name is typed.
CREATE TABLE approvals (
    action_id TEXT    NOT NULL REFERENCES actions (id),
    round     INTEGER NOT NULL,
    judged_by TEXT    NOT NULL COLLATE NOCASE,
    judgement TEXT    NOT NULL CHECK (judgement IN ('approve', 'deny')),
    at        INTEGER NOT NULL,
    PRIMARY KEY (action_id, round, judged_by, judgement)
) STRICT;

-- AUTOINCREMENT: an id is never used again, so a reader that pages by id never
-- takes a new row for one it has seen. `record_index` is -1 for a whole message.
CREATE TABLE quarantine (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    hub            TEXT    NOT NULL,
    partition_id   TEXT    NOT NULL,
    sequence       INTEGER NOT NULL,
    record_index   INTEGER NOT NULL,
    enqueued_at    INTEGER NOT NULL,
    quarantined_at INTEGER NOT NULL,
    reason         TEXT    NOT NULL,
    size           INTEGER NOT NULL,
    bytes          BLOB    NOT NULL,
    UNIQUE (hub, partition_id, sequence, record_index)
) STRICT;
-- Holds all that the bound asks for, so that it is kept without reading bytes.
CREATE INDEX quarantine_sizes ON quarantine (id, size);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
