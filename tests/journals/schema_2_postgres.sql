-- The same in PostgreSQL; {schema} is the schema that holds the tables.
CREATE SCHEMA {schema};
CREATE TABLE {schema}.journal_version (version integer NOT NULL);
CREATE SEQUENCE {schema}.journal_positions;
CREATE TABLE {schema}.journal_entries (
    position bigint PRIMARY KEY,
    key text NOT NULL,
    operation text NOT NULL,
    order_id text NOT NULL,
    merchant_serial_number text NOT NULL,
    amount bigint,
    transaction_text text NOT NULL,
    digest text NOT NULL,
    body bytea,
    created_at bigint NOT NULL,
    origin text NOT NULL,
    reference text NOT NULL,
    begun integer NOT NULL,
    ended integer NOT NULL,
    last_at bigint NOT NULL,
    refusal bytea NOT NULL,
    looked_at bigint,
    outcome text,
    answer bytea,
    settled_at bigint,
    checksum bigint NOT NULL,
    owner text NOT NULL,
    lease_until bigint NOT NULL,
    note text NOT NULL,
    CONSTRAINT journal_entries_identity UNIQUE (key, operation, order_id, merchant_serial_number)
);
CREATE INDEX journal_entries_order ON {schema}.journal_entries (order_id, merchant_serial_number);
CREATE INDEX journal_entries_open ON {schema}.journal_entries (position) WHERE outcome IS NULL;
CREATE TABLE {schema}.journal_world (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), environment text NOT NULL, host text NOT NULL, instance text NOT NULL);
INSERT INTO {schema}.journal_entries VALUES
    (1, 'k1', 'capture', 'acme-1', '123456', 49900, 'Sokker', 'd1', '{}', 1772366400123456, 'given', '',
     1, 0, 1772366400123456, '', NULL, 'done', '{}', 1772366401000000, 0, 'a', 1772366460000000, ''),
    (2, 'k2', 'capture', 'acme-2', '123456', 100, '', 'd2', '{}', 1772366400123456, 'made', '',
     1, 0, 1772366400123456, '', NULL, NULL, NULL, NULL, 0, '', 1772366460000000, 'no answer');
INSERT INTO {schema}.journal_world (environment, host, instance) VALUES ('test', 'vipps', '');
INSERT INTO {schema}.journal_version (version) VALUES (2);
