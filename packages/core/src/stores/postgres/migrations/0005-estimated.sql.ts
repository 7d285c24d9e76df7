/** How much of the cost was counted by us, because the provider did not say what calls used. Of what was written before this step it is not known. */
export const ESTIMATED = `
  ALTER TABLE purser.entry ADD COLUMN estimated_cost bigint;
${["team_hour", "team_day", "user_hour", "user_day"]
  .map((table) => `  ALTER TABLE purser.${table} ADD COLUMN estimated_cost bigint NOT NULL DEFAULT 0;`)
  .join("\n")}
`;
