import { LIMITS } from "./limits.lua.ts";

/**
 * Shows how limits stand. Changes nothing.
 *
 * KEYS   the common ones
 * ARGV   6 the limits
 * Returns `standings` and the picture of the limits: of each, the counter or the slices, the counter of the window before, and the grants
 */
export const STANDINGS = `
${LIMITS}
return picture(answer('standings'), readLimits(ARGV[6]))
`;
