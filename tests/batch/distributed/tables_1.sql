-- The tables of distributed batches in their first shape; {schema} is the schema that holds them.
CREATE SCHEMA {schema};
CREATE TABLE {schema}.batch_version (version integer NOT NULL, procrastinate text NOT NULL);
CREATE TABLE {schema}.batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation text NOT NULL,
    digest text NOT NULL,
    edition integer NOT NULL,
    merchant_serial_number text NOT NULL,
    environment text NOT NULL,
    base_url text NOT NULL,
    options text NOT NULL,
    release_remaining boolean NOT NULL,
    rate double precision,
    next_turn timestamptz NOT NULL DEFAULT '-infinity',
    created_at timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz,
    UNIQUE (digest, operation, merchant_serial_number, edition)
);
CREATE TABLE {schema}.batch_chunks (
    batch bigint NOT NULL REFERENCES {schema}.batches ON DELETE CASCADE,
    number integer NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    epoch bigint NOT NULL DEFAULT 0,
    owner text NOT NULL DEFAULT '',
    seen_at timestamptz NOT NULL DEFAULT now(),
    round integer NOT NULL DEFAULT 0,
    doubts integer NOT NULL DEFAULT 0,
    job_id bigint,
    note text NOT NULL DEFAULT '',
    PRIMARY KEY (batch, number)
);
CREATE INDEX batch_chunks_open ON {schema}.batch_chunks (batch) WHERE state <> 'ended';
CREATE TABLE {schema}.batch_rows (
    batch bigint NOT NULL REFERENCES {schema}.batches ON DELETE CASCADE,
    number integer NOT NULL,
    chunk integer,
    line integer NOT NULL,
    order_id text NOT NULL,
    amount bigint,
    transaction_text text NOT NULL,
    reference text,
    another boolean NOT NULL DEFAULT false,
    flaw text,
    outcome text,
    moved bigint,
    time timestamptz,
    key text,
    code text,
    reason text,
    PRIMARY KEY (batch, number)
);
CREATE INDEX batch_rows_chunk ON {schema}.batch_rows (batch, chunk, number);
CREATE INDEX batch_rows_order ON {schema}.batch_rows (order_id, amount) WHERE amount IS NOT NULL;
INSERT INTO {schema}.batch_version VALUES (1, '03.00.00_01_pre.sql');
INSERT INTO {schema}.batches (operation, digest, edition, merchant_serial_number, environment, base_url, options,
    release_remaining) VALUES ('capture', 'd1', 0, '123456', 'test', 'https://apitest.vipps.no', '{}', false);
INSERT INTO {schema}.batch_chunks (batch, number) VALUES (1, 0);
INSERT INTO {schema}.batch_rows (batch, number, chunk, line, order_id, amount, transaction_text)
    VALUES (1, 1, 0, 2, 'acme-1', 100, 'Socks');
