/**
 * Reads counters as they stand together: the named ones, or a page of all. Changes nothing.
 *
 * KEYS   the common ones
 * ARGV   6 where the page begins ('' for named ones), 7 about how many; or the names from there on
 * Returns `counters`, where the next page begins ('0' for none), then `key, value` of each
 */
export const COUNTERS = `
local cursor, found = ARGV[6], {}
if cursor == '' then
  local keys = {}
  for i = 7, #ARGV do keys[#keys + 1] = ARGV[i] end
  for first = 1, #keys, CHUNK do
    local last = math.min(first + CHUNK - 1, #keys)
    local values = redis.call('HMGET', COUNTERS, unpack(keys, first, last))
    for i = first, last do
      if values[i - first + 1] then
        found[#found + 1] = keys[i]
        found[#found + 1] = values[i - first + 1]
      end
    end
  end
  cursor = '0'
else
  local page = redis.call('HSCAN', COUNTERS, cursor, 'COUNT', ARGV[7])
  cursor, found = page[1], page[2]
end
local answered = answer('counters', cursor)
for _, text in ipairs(found) do answered[#answered + 1] = text end
return answered
`;
