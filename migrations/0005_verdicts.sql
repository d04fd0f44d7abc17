-- How right policies were: what each called for, and what a case turned out
-- to be.

-- What a policy called for in a case, at most: after the guard's word. One row
-- a policy and case, so that a report reads no decisions. `at` is when it
-- first did.
CREATE TABLE policy_cases (
    policy  TEXT    NOT NULL,
    case_id TEXT    NOT NULL REFERENCES cases (id),
    effect  TEXT    NOT NULL CHECK (effect IN ('shadow', 'ask', 'act')),
    at      INTEGER NOT NULL,
    PRIMARY KEY (policy, case_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_cases_newest ON policy_cases (at DESC);

-- Of what was decided before this table. JSON functions are used here once.
INSERT INTO policy_cases (policy, case_id, effect, at)
SELECT policy, case_id,
       CASE max(strength) WHEN 3 THEN 'act' WHEN 2 THEN 'ask' ELSE 'shadow' END,
       min(decided_at)
FROM (
    SELECT json_extract(v.value, '$.policy') AS policy, d.case_id, d.decided_at,
           min(CASE json_extract(v.value, '$.effect')
                   WHEN 'act' THEN 3 WHEN 'ask' THEN 2 ELSE 1 END,
               CASE json_extract(d.body, '$.admission.verdict')
                   WHEN 'demoted' THEN 2 WHEN 'refused' THEN 1 ELSE 3 END) AS strength
    FROM decisions d, json_each(d.body, '$.verdicts') v
    WHERE json_extract(v.value, '$.effect') IS NOT NULL)
GROUP BY policy, case_id;

-- What somebody says a case was. One word a person and case, and one of
-- Entra's (`judged_by` is empty then): the latest replaces the one before.
CREATE TABLE findings (
    case_id   TEXT    NOT NULL REFERENCES cases (id),
    source    TEXT    NOT NULL CHECK (source IN ('human', 'entra')),
    judged_by TEXT    NOT NULL COLLATE NOCASE,
    truth     TEXT    NOT NULL CHECK (truth IN ('theft', 'benign')),
    note      TEXT,
    at        INTEGER NOT NULL,
    PRIMARY KEY (case_id, source, judged_by),
    CHECK ((source = 'entra') = (judged_by = ''))
) STRICT, WITHOUT ROWID;
