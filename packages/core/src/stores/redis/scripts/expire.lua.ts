import { FILLING } from "./filling.lua.ts";
import { LENDING } from "./lending.lua.ts";

/**
 * Charges holds whose lease has run out at their estimate, and what was allotted to leases that have, the oldest first, and forgets counters and grants of times long past.
 * Any number of gateways may do this at the same time.
 *
 * KEYS   the common ones: which reservations are due is known only here, and their keys lie in the same slot
 * ARGV   6 the most holds to charge, 7 what the keys of the store begin with
 * Returns `expired` and the ids of their reservations
 */
export const EXPIRE = `
local refused = refusal() or rollCall()
if refused then return refused end

local most, prefix = tonumber(ARGV[6]), ARGV[7]
${LENDING}
${FILLING}
local FORGET_MOST = 100
local AGAIN_MS = 3600000
local PERIODS = { minute = 60000, hour = 3600000, day = 86400000 }

-- Whether a bucket was empty at a time, by the rate at which it drained when its last slice was named. One that never drains lets nothing
-- pass either, so it is not waited for. Of any other window: true.
local function wasEmpty(one, at)
  local period, kind, drains = string.match(one.definition, '(%a+) (%a+)",(%d+)%]$')
  if not PERIODS[period] or tonumber(drains) == 0 then return true end
  local rule = { drains = tonumber(drains), period = PERIODS[period], slice = PERIODS[period] / 60 }
  return levelAt(rule, one.slices, at, reservedOf) == 0
end

local ids = redis.call('ZRANGEBYSCORE', LEASES, '-inf', textOf(now), 'LIMIT', 0, most)
local due, held = {}, {}
for i, id in ipairs(ids) do
  local known = redis.call('HMGET', prefix .. 'reservation:' .. id, 'opened', 'entries')
  local hold = readHold(redis.call('GET', prefix .. 'hold:' .. id))
  hold.id, hold.opened, hold.entries = id, tonumber(known[1]), known[2]
  due[i] = hold
  for _, posting in ipairs(hold.postings) do held[#held + 1] = posting end
end
table.sort(due, function(one, other) return one.opened < other.opened end)
load(held)
for _, hold in ipairs(due) do
  local postings = {}
  for i, posting in ipairs(hold.postings) do
    postings[i] = posted(posting, 0 - posting.held, posting.unit == 'concurrent' and 0 or posting.held)
  end
  hold.text = writePostings(postings)
  local broken = add({
    kind = 'expired', reservation = hold.id, postings = postings, text = hold.text, detail = hold.detail,
    body = '{"charge":' .. hold.estimate .. '}',
  })
  if broken then return broken end
end
local leases = {}
for i, id in ipairs(hasLeases and redis.call('ZRANGEBYSCORE', LENDING, '-inf', textOf(now), 'LIMIT', 0, most) or {}) do leases[i] = readLease(id) end
table.sort(leases, function(one, other) return one.last < other.last end)
for _, lease in ipairs(leases) do
  local broken = expireLease(lease)
  if broken then return broken end
end
if #due + #leases > 0 then
  local numbers = commit()
  for i, hold in ipairs(due) do
    local key = prefix .. 'reservation:' .. hold.id
    redis.call('HSET', key, 'state', 'expired', 'entries', joined(hold.entries, { numbers[i] }))
    redis.call('HDEL', key, 'expiresAt', 'outputCap', 'opened', 'attempt')
    redis.call('SET', prefix .. 'hold:' .. hold.id, writeHold('', hold.detail, hold.text))
    redis.call('ZREM', LEASES, hold.id)
  end
  for i, lease in ipairs(leases) do keepLease(lease, numbers[#due + i]) end
  if #leases > 0 then keepAllotted() end
elseif epoch > 0 then
  -- An instance that is idle lives too.
  redis.call('HSET', META, OWN, textOf(own) .. ' ' .. textOf(stamp))
end

-- Whether what closed can be forgotten now, or is looked at again later: something may still be held there.
local forget = {
  c = function(key)
    loadKeys({ key })
    if counters[key].held ~= 0 then return false end
    for _, hash in ipairs({ HELD, SPENT, DEFINITIONS }) do redis.call('HDEL', hash, key) end
    return true
  end,
  s = function(name)
    readSeries(name, redis.call('HGET', SERIES, name))
    for _, slice in ipairs(series[name].slices) do
      if slice.held ~= 0 or slice.resetsAt + KEEP_SLICES_MS >= now then return false end
    end
    if not wasEmpty(series[name], now - KEEP_SLICES_MS) then return false end
    redis.call('HDEL', SERIES, name)
    return true
  end,
  g = function(name)
    local kept = {}
    for line, keptUntil in string.gmatch(redis.call('HGET', GRANTS, name) or '', '([^\\n]*\\t(%d+))\\n') do
      if tonumber(keptUntil) >= now then kept[#kept + 1] = line .. '\\n' end
    end
    if #kept > 0 then
      redis.call('HSET', GRANTS, name, table.concat(kept))
      return false
    end
    redis.call('HDEL', GRANTS, name)
    return true
  end,
}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', CLOSING, '-inf', '(' .. textOf(now), 'LIMIT', 0, FORGET_MOST)) do
  if forget[string.sub(member, 1, 1)](string.sub(member, 2)) then redis.call('ZREM', CLOSING, member)
  else redis.call('ZADD', CLOSING, now + AGAIN_MS, member) end
end
local expired = {}
for i, hold in ipairs(due) do expired[i] = hold.id end
return answer('expired', unpack(expired))
`;
