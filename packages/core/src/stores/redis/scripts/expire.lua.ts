/**
 * Charges holds whose lease has run out at their estimate, the oldest first, and forgets counters of windows long closed.
 * Any number of gateways may do this at the same time.
 *
 * KEYS   the common ones: which reservations are due is known only here, and their keys lie in the same slot
 * ARGV   6 the most holds to charge, 7 what the key of a reservation begins with, 8 how long the counters of a closed window are kept
 * Returns `expired` and how many
 */
export const EXPIRE = `
local regressed = refusal()
if regressed then return regressed end

local most, prefix, keepMs = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local REFRESH_MS = 3600000
local FORGET_MOST = 100
local AGAIN_MS = 3600000

local ids = redis.call('ZRANGEBYSCORE', LEASES, '-inf', textOf(now), 'LIMIT', 0, most)
local due, keys = {}, {}
for i, id in ipairs(ids) do
  local hold = redis.call('HMGET', prefix .. id, 'postings', 'detail', 'estimate', 'opened', 'entries')
  due[i] = { id = id, held = readPostings(hold[1]), detail = hold[2], estimate = hold[3], opened = tonumber(hold[4]), entries = hold[5] }
  for _, posting in ipairs(due[i].held) do keys[#keys + 1] = posting.key end
end
table.sort(due, function(one, other) return one.opened < other.opened end)
load(keys)
for _, hold in ipairs(due) do
  local postings = {}
  for i, posting in ipairs(hold.held) do
    local spent = posting.unit == 'concurrent' and 0 or posting.held
    postings[i] = { key = posting.key, unit = posting.unit, rest = posting.rest, held = 0 - posting.held, spent = spent }
  end
  hold.text = writePostings(postings)
  local broken = add({
    kind = 'expired', reservation = hold.id, postings = postings, text = hold.text, detail = hold.detail,
    body = '{"charge":' .. hold.estimate .. '}',
  })
  if broken then return broken end
end
if #due > 0 then
  local number = seq
  commit()
  for _, hold in ipairs(due) do
    number = number + 1
    local key = prefix .. hold.id
    redis.call('HSET', key, 'state', 'expired', 'postings', hold.text, 'entries', joined(hold.entries, textOf(number)))
    redis.call('HDEL', key, 'expiresAt', 'outputCap', 'estimate', 'opened', 'attempt')
    redis.call('ZREM', LEASES, hold.id)
  end
elseif epoch > 0 and stamp - ownSince > REFRESH_MS then
  -- An instance that is idle is remembered: forgotten, it would look as if its entries were lost.
  redis.call('HSET', META, OWN, textOf(own) .. ' ' .. textOf(stamp))
end

local closed = redis.call('ZRANGEBYSCORE', CLOSING, '-inf', '(' .. textOf(now - keepMs), 'LIMIT', 0, FORGET_MOST)
if #closed > 0 then
  counters = {}
  load(closed)
  for _, key in ipairs(closed) do
    if counters[key].held == 0 then
      redis.call('HDEL', COUNTERS, key)
      redis.call('ZREM', CLOSING, key)
    else
      redis.call('ZADD', CLOSING, textOf(now - keepMs + AGAIN_MS), key)
    end
  end
end
return answer('expired', textOf(#due))
`;
