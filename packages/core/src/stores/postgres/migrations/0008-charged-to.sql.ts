/** Where the cost of calls is booked and who answers for it. Of what was written before this step nothing of it is known. */
export const CHARGED_TO = `
  ALTER TABLE purser.entry ADD COLUMN cost_center text COLLATE "C", ADD COLUMN owner text COLLATE "C";
`;
