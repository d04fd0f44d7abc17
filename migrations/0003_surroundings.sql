-- What is known of the tenant and of addresses. `thing` is JSON, e.g.
-- {"asn":3215}; `body` is JSON.
CREATE TABLE surroundings (
    thing TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
