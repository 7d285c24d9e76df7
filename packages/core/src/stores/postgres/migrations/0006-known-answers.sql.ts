/** How many calls got an answer that was known, and what that saved. Of what was written before this step there is none. */
export const KNOWN_ANSWERS = `
  ALTER TABLE purser.entry ADD COLUMN known_answers bigint, ADD COLUMN saved_cost bigint;
${["team_hour", "team_day", "user_hour", "user_day"]
  .map(
    (table) => `
  ALTER TABLE purser.${table} ADD COLUMN known_answers bigint NOT NULL DEFAULT 0, ADD COLUMN saved_cost bigint NOT NULL DEFAULT 0;`,
  )
  .join("\n")}
`;
