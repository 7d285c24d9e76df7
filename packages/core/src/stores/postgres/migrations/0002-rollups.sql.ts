/**
 * Sums of what the entries book, by UTC hour and day, for two sets of attributes: one with the user and one without, because a single set of
 * both has about as many rows as there are calls. They change in the transaction that adds the entries, so they are always their sum.
 *
 * `digest` stands for the values in the primary key, which they could be too long for.
 */
export const ROLLUPS = ["hour", "day"]
  .flatMap((step) => [
    { name: `team_${step}`, values: ["org", "team", "feature", "provider", "model"] },
    { name: `user_${step}`, values: ["org", `"user"`, "model"] },
  ])
  .map(
    ({ name, values }) => `
  CREATE TABLE purser.${name} (
    at bigint NOT NULL,
    calls bigint NOT NULL,
    refusals bigint NOT NULL,
    unpriced_calls bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_input_tokens bigint NOT NULL,
    cache_write_input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_output_tokens bigint NOT NULL,
    cost bigint NOT NULL,
    unconfirmed_cost bigint NOT NULL,
    digest bytea NOT NULL,
${values.map((value) => `    ${value} text COLLATE "C",`).join("\n")}
    PRIMARY KEY (at, digest)
  ) WITH (fillfactor = 80);`,
  )
  .join("\n");
