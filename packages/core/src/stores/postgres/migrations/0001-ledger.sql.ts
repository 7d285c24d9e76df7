/**
 * The ledgers, as they were written, and what each entry books. Amounts of money are in nano-dollars, times in epoch milliseconds.
 *
 * - `ledger` has one row for each epoch of a store's history. An epoch goes on from entry `after` of its `parent`. `last_…` is its newest entry.
 * - `counter` names what `entry.counters` refers to by number; `held` and `spent` beside it are what the entry changes there.
 * - `entry` has what reports ask for as columns, and the rest as JSON in `body`. Its amounts can be negative where an entry corrects.
 *
 * Partitions of `entry` are made by month when they are needed. Names of any length must fit an index, hence the digests.
 */
export const LEDGER = `
  CREATE TABLE purser.ledger (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    epoch integer NOT NULL,
    parent integer REFERENCES purser.ledger (id),
    after bigint NOT NULL,
    last_seq bigint NOT NULL,
    last_at bigint,
    last_kind text,
    last_reservation text,
    UNIQUE (name, epoch)
  );

  CREATE TABLE purser.counter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    key text NOT NULL,
    budget text NOT NULL,
    subject text NOT NULL,
    unit text NOT NULL,
    "window" text NOT NULL,
    starts_at bigint NOT NULL,
    resets_at bigint,
    definition json
  );

  CREATE TABLE purser.entry (
    seq bigint NOT NULL,
    at bigint NOT NULL,
    ledger integer NOT NULL,
    calls integer,
    refusals integer,
    unpriced_calls integer,
    input_tokens bigint,
    cache_read_input_tokens bigint,
    cache_write_input_tokens bigint,
    output_tokens bigint,
    reasoning_output_tokens bigint,
    cost bigint,
    unconfirmed_cost bigint,
    kind text COLLATE "C" NOT NULL,
    reservation text COLLATE "C" NOT NULL,
    certainty text COLLATE "C",
    org text COLLATE "C",
    team text COLLATE "C",
    product text COLLATE "C",
    feature text COLLATE "C",
    "user" text COLLATE "C",
    tier text COLLATE "C",
    session text COLLATE "C",
    task text COLLATE "C",
    key text COLLATE "C",
    provider text COLLATE "C",
    model text COLLATE "C",
    endpoint text COLLATE "C",
    tags jsonb,
    counters bigint[],
    held bigint[],
    spent bigint[],
    body json NOT NULL,
    PRIMARY KEY (ledger, seq, at)
  ) PARTITION BY RANGE (at);

  CREATE INDEX entry_reservation ON purser.entry (left(reservation, 200));
  CREATE INDEX entry_at ON purser.entry (at);
`;
