/**
 * How a reservation ends, for the scripts that end one. An id that never was is marked, so that a reservation which comes late, over
 * another connection, cannot hold what nobody would end.
 */
export const ENDING = `
local RESERVATION, HOLD = KEYS[12], KEYS[13]
local VOID_MS = 86400000

local stored = redis.call('HMGET', RESERVATION, 'state', 'entries', 'attempt')
local hold = (stored[1] == 'open' or stored[1] == 'expired') and readHold(redis.call('GET', HOLD)) or {}
hold.state, hold.entries, hold.attempt = stored[1], stored[2], stored[3]

local function finish(id)
  redis.call('HSET', RESERVATION, 'state', 'ended', 'entries', joined(hold.entries, commit()))
  redis.call('HDEL', RESERVATION, 'expiresAt', 'outputCap', 'opened', 'attempt')
  redis.call('DEL', HOLD)
  redis.call('ZREM', LEASES, id)
  if hold.state == 'expired' then redis.call('PERSIST', RESERVATION) end
end

-- The end of a call whose hold expired corrects what was charged then; after any other end it changes nothing.
local function correct(id, used, charge, isValid)
  if hold.state == 'ended' then return answer('duplicate') end
  if hold.state ~= 'expired' then
    if not hold.state then
      redis.call('HSET', RESERVATION, 'state', 'void')
      if not hold.entries then redis.call('PEXPIRE', RESERVATION, VOID_MS) end
    end
    return answer('unknown')
  end
  if not isValid then return answer('invalid') end
  load(hold.postings)
  local postings = {}
  for i, posting in ipairs(hold.postings) do
    postings[i] = posted(posting, 0, correctable(posting, used(posting) - posting.spent))
  end
  for _, posting in ipairs(postings) do
    local uncounted = uncountable(posting, counters[posting.key], posting.spent)
    if uncounted then return uncounted end
  end
  local broken = add({ kind = 'corrected', reservation = id, postings = postings, detail = hold.detail, body = '{"charge":' .. charge .. '}' })
  if broken then return broken end
  finish(id)
  return answer('corrected')
end
`;
