/**
 * Takes entries off the beginning of the stream, once they are in the archive. Balances and holds stay. A reservation that has ended is
 * remembered for a day more.
 *
 * KEYS   the common ones
 * ARGV   6 the first entry to keep, 7 what the keys of the store begin with, 8 at most how many to take off
 * Returns `trimmed` and how many
 */
export const TRIM = `
local keepFrom, prefix = ARGV[6], ARGV[7]
local REMEMBER_MS = 86400000
local messages = redis.call('XRANGE', LEDGER, '-', '(' .. keepFrom .. '-0', 'COUNT', ARGV[8])
if #messages == 0 then return answer('trimmed', '0') end

local gone = {}
for _, message in ipairs(messages) do
  local id = message[2][6]
  gone[id] = gone[id] or {}
  gone[id][string.match(message[1], '^%d+')] = true
end
for id, numbers in pairs(gone) do
  local key = prefix .. 'reservation:' .. id
  local known = redis.call('HMGET', key, 'state', 'entries')
  local left = {}
  for number in string.gmatch(known[2] or '', '%d+') do
    if not numbers[number] then left[#left + 1] = number end
  end
  if #left > 0 then
    redis.call('HSET', key, 'entries', table.concat(left, ','))
  elseif not known[1] then
    redis.call('DEL', key)
  else
    redis.call('HDEL', key, 'entries')
    if known[1] ~= 'open' then
      redis.call('PEXPIRE', key, REMEMBER_MS)
      redis.call('PEXPIRE', prefix .. 'hold:' .. id, REMEMBER_MS)
    end
  end
end
local last = tonumber(string.match(messages[#messages][1], '^%d+'))
redis.call('XTRIM', LEDGER, 'MINID', last + 1)
redis.call('ZREMRANGEBYSCORE', RARE, '-inf', last)
while true do
  local mark = redis.call('ZRANGE', MARKS, 0, 0)[1]
  if not mark or tonumber(mark) > last then break end
  redis.call('ZREM', MARKS, mark)
end
return answer('trimmed', #messages)
`;
