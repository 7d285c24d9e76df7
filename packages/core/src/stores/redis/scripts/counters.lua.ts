/**
 * Reads a page of the counters, as they stand together. Changes nothing.
 *
 * KEYS   the common ones
 * ARGV   6 'counters' or 'series', 7 where the page begins, 8 about how many
 * Returns `counters`, where the next page begins ('0' for none), then `key, value` of each
 */
export const COUNTERS = `
local page = redis.call('HSCAN', ARGV[6] == 'series' and SERIES or COUNTERS, ARGV[7], 'COUNT', ARGV[8])
local answered = answer('counters', page[1])
for _, text in ipairs(page[2]) do answered[#answered + 1] = text end
return answered
`;
