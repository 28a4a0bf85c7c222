-- A journal as schema version 2 makes it, with a settled and an open entry. Never changed: such files exist.
PRAGMA application_id = 1448102476;
CREATE TABLE entries (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    order_id TEXT NOT NULL,
    merchant_serial_number TEXT NOT NULL,
    amount INTEGER,
    transaction_text TEXT NOT NULL,
    digest TEXT NOT NULL,
    body BLOB,
    created_at INTEGER NOT NULL,
    origin TEXT NOT NULL,
    reference TEXT NOT NULL,
    begun INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    refusal BLOB NOT NULL,
    looked_at INTEGER,
    outcome TEXT,
    answer BLOB,
    settled_at INTEGER,
    checksum INTEGER NOT NULL,
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    note TEXT NOT NULL
);
CREATE UNIQUE INDEX entries_identity ON entries (key, operation, order_id, merchant_serial_number);
CREATE INDEX entries_order ON entries (order_id, merchant_serial_number);
CREATE INDEX entries_open ON entries (position) WHERE outcome IS NULL;
CREATE TABLE world (environment TEXT NOT NULL, host TEXT NOT NULL, instance TEXT NOT NULL);
INSERT INTO entries VALUES
    (1, 'k1', 'capture', 'acme-1', '123456', 49900, 'Sokker', 'd1', X'7B7D', 1772366400123456, 'given', '',
     1, 0, 1772366400123456, X'', NULL, 'done', X'7B7D', 1772366401000000, 0, 'a', 1772366460000000, ''),
    (2, 'k2', 'capture', 'acme-2', '123456', 100, '', 'd2', X'7B7D', 1772366400123456, 'made', '',
     1, 0, 1772366400123456, X'', NULL, NULL, NULL, NULL, 0, '', 1772366460000000, 'no answer');
INSERT INTO world VALUES ('test', 'vipps', '');
PRAGMA user_version = 2;
