-- What became of an eviction, and rounds of actions in one case.
--
-- `actions` is built anew: a CHECK cannot be changed, and there is a state
-- more, `withdrawn`. `approvals` refers to it and is built anew with it, so
-- that foreign keys hold at every moment.

CREATE TABLE actions_new (
    id               TEXT    NOT NULL PRIMARY KEY,
    case_id          TEXT    NOT NULL REFERENCES cases (id),
    kind             TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN (
        'awaiting_approval', 'queued', 'sending', 'acknowledged',
        'refused', 'failed', 'denied', 'expired', 'withdrawn')),
    score            INTEGER NOT NULL CHECK (score BETWEEN 0 AND 100),
    approved         INTEGER NOT NULL DEFAULT 0 CHECK (approved IN (0, 1)),
    approvers_needed INTEGER NOT NULL,
    round            INTEGER NOT NULL DEFAULT 0,
    attempts         INTEGER NOT NULL DEFAULT 0,
    -- When it was first ordered. Of one kind in one case the latest counts.
    ordered_at       INTEGER NOT NULL,
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

INSERT INTO actions_new (
    id, case_id, kind, state, score, approved, approvers_needed, round, attempts, ordered_at,
    event_at, enqueued_at, received_at, committed_at, not_before, expires_at, unattended_at,
    queued_at, claimed_at, sent_at, acknowledged_at, last_outcome)
SELECT
    id, case_id, kind, state, score, approved, approvers_needed, round, attempts, committed_at,
    event_at, enqueued_at, received_at, committed_at, not_before, expires_at, unattended_at,
    queued_at, claimed_at, sent_at, acknowledged_at, last_outcome
FROM actions;

CREATE TABLE approvals_new (
    action_id TEXT    NOT NULL REFERENCES actions_new (id),
    round     INTEGER NOT NULL,
    judged_by TEXT    NOT NULL COLLATE NOCASE,
    judgement TEXT    NOT NULL CHECK (judgement IN ('approve', 'deny')),
    at        INTEGER NOT NULL,
    PRIMARY KEY (action_id, round, judged_by, judgement)
) STRICT;

INSERT INTO approvals_new (action_id, round, judged_by, judgement, at)
SELECT action_id, round, judged_by, judgement, at FROM approvals;

DROP TABLE approvals;
DROP TABLE actions;
-- A renamed table takes the references to it along.
ALTER TABLE actions_new RENAME TO actions;
ALTER TABLE approvals_new RENAME TO approvals;

CREATE INDEX actions_by_turn ON actions (state, score DESC, queued_at, id, kind, not_before);
CREATE INDEX actions_of_case ON actions (case_id, id);
CREATE INDEX actions_asked ON actions (state, expires_at);
CREATE INDEX actions_unattended ON actions (unattended_at) WHERE unattended_at IS NOT NULL;
-- When a case was last acted on, asked with each batch: read from the index alone.
CREATE INDEX actions_acknowledged ON actions (case_id, kind, acknowledged_at)
    WHERE acknowledged_at IS NOT NULL;

-- The one record that shows what a case's revoke achieved: the latest by event
-- time. What comes before it, `requested` and `acknowledged`, is in `actions`.
CREATE TABLE proofs (
    case_id TEXT    NOT NULL PRIMARY KEY REFERENCES cases (id),
    outcome TEXT    NOT NULL CHECK (outcome IN ('proven', 'evaded')),
    at      INTEGER NOT NULL,
    record  TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
