import { ALLOTTED } from "./allotted.lua.ts";
import { LIMITS } from "./limits.lua.ts";

/**
 * Shows how limits stand. Changes nothing.
 *
 * KEYS   the common ones
 * ARGV   6 the limits, 7 what the keys of the store begin with
 * Returns `standings` and the picture of the limits: of each, the counter or the slices, the counter of the window before, the grants, and
 *         what is allotted
 */
export const STANDINGS = `
local prefix = ARGV[7]
${ALLOTTED}
${LIMITS}
return picture(answer('standings'), readLimits(ARGV[6]))
`;
