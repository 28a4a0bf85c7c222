-- A journal as schema version 1 makes it, with one entry of each kind. Never changed: such files exist.
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
    outcome TEXT,
    answer BLOB,
    settled_at INTEGER,
    owner TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    note TEXT NOT NULL
);
CREATE UNIQUE INDEX entries_identity ON entries (key, operation, order_id, merchant_serial_number);
CREATE INDEX entries_order ON entries (order_id, merchant_serial_number);
CREATE INDEX entries_open ON entries (position) WHERE outcome IS NULL;
INSERT INTO entries VALUES
    (1, 'k1', 'capture', 'acme-1', '123456', 49900, 'Sokker', 'd1', X'7B7D', 1772366400123456,
     'done', X'7B7D', 1772366401000000, 'a', 1772366460000000, ''),
    (2, 'k2', 'refund', 'acme-1', '123456', NULL, 'Retur', 'd2', X'7B7D', 1772366400123456,
     'refused', X'7B7D', 1772366401000000, 'a', 1772366460000000, ''),
    (3, 'k3', 'capture', 'acme-2', '123456', 100, '', 'd3', X'7B7D', 1772366400123456,
     'not_done', X'', 1772366401000000, 'a', 1772366460000000, ''),
    (4, 'k4', 'initiate', 'acme-3', '123456', 100, '', 'd4', NULL, 1772366400123456,
     NULL, NULL, NULL, '', 1772366460000000, 'no answer');
PRAGMA user_version = 1;
