-- What is known of the tenant and of addresses. `thing` is JSON, e.g.
-- {"asn":3215}; `body` is JSON.
CREATE TABLE surroundings (
    thing TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- People ask for a user by name.
ALTER TABLE user_memory ADD COLUMN principal_name TEXT NOT NULL DEFAULT '' COLLATE NOCASE;
CREATE INDEX user_memory_by_name ON user_memory (principal_name) WHERE principal_name <> '';
