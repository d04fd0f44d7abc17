-- A case may be a service principal's.
ALTER TABLE cases ADD COLUMN workload INTEGER NOT NULL DEFAULT 0 CHECK (workload IN (0, 1));
