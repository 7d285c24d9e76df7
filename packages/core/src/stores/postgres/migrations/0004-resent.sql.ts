/** How much of the input sessions had sent before, and what that cost. Of what was written before this step nothing of it is known. */
export const RESENT = `
  ALTER TABLE purser.entry
    ADD COLUMN resent_input_tokens bigint, ADD COLUMN resent_cache_read_input_tokens bigint, ADD COLUMN resent_cost bigint;
${["team_hour", "team_day", "user_hour", "user_day"]
  .map(
    (table) => `
  ALTER TABLE purser.${table}
    ADD COLUMN resent_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN resent_cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN resent_cost bigint NOT NULL DEFAULT 0;`,
  )
  .join("\n")}
`;
