/**
 * Reads a page of the counters, as they stand together. Changes nothing.
 *
 * KEYS   the common ones
 * ARGV   6 'counters' or 'series', 7 where the page begins, 8 about how many
 * Returns `counters`, where the next page begins ('0' for none), then `key, value` of each
 */
export const COUNTERS = `
local isSeries = ARGV[6] == 'series'
local page = redis.call('HSCAN', isSeries and SERIES or HELD, ARGV[7], 'COUNT', ARGV[8])
local answered = answer('counters', page[1])
for i = 1, #page[2], 2 do
  local key, value = page[2][i], page[2][i + 1]
  answered[#answered + 1] = key
  answered[#answered + 1] = isSeries and value or value .. ' ' .. redis.call('HGET', SPENT, key) .. '\\t' .. redis.call('HGET', DEFINITIONS, key)
end
return answered
`;
