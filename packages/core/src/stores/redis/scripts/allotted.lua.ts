/**
 * What is allotted of counters, as scripts see it that decide calls: a hash has, of each counter, how much of it is allotted and to how many
 * leases, and a sorted set which counters are recalled until when. Scripts that use this have the beginning of all keys in `prefix`.
 */
export const ALLOTTED = `
local ALLOTTED, RECALLED = prefix .. 'allotted', prefix .. 'recalled'
-- Longer than holders take from one report to the next.
local RECALL_MS = 5000
local allotted = {}

local function allottedOn(key)
  local one = allotted[key]
  if not one then
    local amount, holders = string.match(hasLeases and redis.call('HGET', ALLOTTED, key) or '0 0', '^(%d+) (%d+)$')
    one = { amount = tonumber(amount), holders = tonumber(holders) }
    allotted[key] = one
  end
  return one
end

-- Lends nothing of a counter for a while, so that its holders return what they have.
local function recall(key)
  redis.call('ZREMRANGEBYSCORE', RECALLED, '-inf', textOf(now))
  redis.call('ZADD', RECALLED, textOf(now + RECALL_MS), key)
end

local function isRecalled(key)
  local until_ = redis.call('ZSCORE', RECALLED, key)
  return until_ and now < tonumber(until_)
end
`;
