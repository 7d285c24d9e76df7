/**
 * What rungs of ladders saved: of an entry as a list in JSON, and its sums by UTC hour, which change in the transaction that adds the entries. Of what
 * was written before this step there is none. `digest` stands for budget and rung in the primary key, which they could be too long for.
 */
export const SAVINGS = `
  ALTER TABLE purser.entry ADD COLUMN savings json;

  CREATE TABLE purser.savings_hour (
    at bigint NOT NULL,
    calls bigint NOT NULL,
    unknown_calls bigint NOT NULL,
    left_out_tokens bigint NOT NULL,
    saved bigint NOT NULL,
    spent bigint NOT NULL,
    digest bytea NOT NULL,
    budget text COLLATE "C" NOT NULL,
    rung text COLLATE "C" NOT NULL,
    PRIMARY KEY (at, digest)
  ) WITH (fillfactor = 80);
`;
