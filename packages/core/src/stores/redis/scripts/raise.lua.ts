import { ALLOTTED } from "./allotted.lua.ts";
import { LIMITS } from "./limits.lua.ts";

/**
 * Holds more for a call in flight, on the counters on which it is held: as much of its answer as fits all its limits, or nothing more.
 *
 * KEYS   12 the reservation, 13 what it holds
 * ARGV   6 id, 7 lease in milliseconds, 8 least and 9 most output of one answer, 10 `unit=base,perOutputToken,scale;` of what is asked of each unit,
 *        11 the limits, 12 what the keys of the store begin with
 * Returns `extended`, the expiry and the output of one answer that is held; `refused`; `unknown`; or `uncountable`, the counter and what was added
 */
export const RAISE = `
local RESERVATION, HOLD = KEYS[12], KEYS[13]
local refused = refusal() or rollCall()
if refused then return refused end
local prefix = ARGV[12]
${ALLOTTED}
${LIMITS}
local id, leaseMs, least, outputCap = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local asks = {}
for unit, base, perOutputToken, scale in string.gmatch(ARGV[10], '([^=]*)=([^,]*),([^,]*),([^;]*);') do
  asks[unit] = { base = tonumber(base), perOutputToken = tonumber(perOutputToken), scale = tonumber(scale) }
end
local limits = readLimits(ARGV[11])
local function amountOf(ask, tokens) return math.ceil((ask.base + ask.perOutputToken * tokens) / ask.scale) end

local known = redis.call('HMGET', RESERVATION, 'state', 'expiresAt', 'entries')
if known[1] ~= 'open' then return answer('unknown') end
local hold = readHold(redis.call('GET', HOLD))
local own = {}
for _, posting in ipairs(hold.postings) do own[posting.isSlice and parsed(posting).seriesKey or posting.key] = posting end
for _, limit in ipairs(limits) do
  local posting = own[limit.isSlice and limit.seriesKey or limit.key]
  if not posting or (limit.rollover and limit.resetsAt and now >= limit.resetsAt) then return answer('refused') end
  limit.posting, posting.limit = posting, limit
end
-- What is charged on a counter is held there, and nothing is held more of that no limit was asked about.
for _, posting in ipairs(hold.postings) do
  if not posting.limit then return answer('refused') end
end
load(hold.postings)
loadLimits(limits)
for _, limit in ipairs(limits) do
  local standing = standingOf(limit)
  local room = limit.posting.held + math.max(0, limit.amount - standing.spent - standing.held)
  if limit.isEnforced and amountOf(limit, outputCap) > room then
    local fitting = limit.perOutputToken > 0 and math.floor((room * limit.scale - limit.base) / limit.perOutputToken) or 0
    outputCap = math.min(outputCap, fitting)
  end
end
if outputCap < least then return answer('refused') end

local postings = {}
for _, posting in ipairs(hold.postings) do
  local added = amountOf(posting.limit, outputCap) - posting.held
  if added > 0 then
    local uncounted = uncountable(posting, counters[posting.key], added)
    if uncounted then return uncounted end
    postings[#postings + 1] = posted(posting, added, 0)
  end
end

-- Values of a subject are texts, so that what is a number under these names is of the call itself.
local function withNumber(json, name, number) return (string.gsub(json, '"' .. name .. '":%d+', '"' .. name .. '":' .. textOf(number), 1)) end
local detail, estimate = hold.detail, hold.estimate
if not string.find(detail, '"outputTokensAtFirst":%d') then
  detail = string.gsub(detail, '"outputTokens":(%d+)', '"outputTokensAtFirst":%1,"outputTokens":%1', 1)
end
detail = withNumber(withNumber(detail, 'outputTokens', amountOf(asks.output_tokens, outputCap)), 'cost', amountOf(asks.nanodollars, outputCap))
estimate = withNumber(withNumber(estimate, 'outputTokens', amountOf(asks.output_tokens, outputCap)), 'cost', amountOf(asks.nanodollars, outputCap))
local expiresAt = textOf(math.max(tonumber(known[2]), now + leaseMs))
local broken = add({
  kind = 'raised', reservation = id, postings = postings, detail = detail,
  body = '{"expiresAt":' .. expiresAt .. ',"outputCap":' .. textOf(outputCap) .. '}',
})
if broken then return broken end
local numbers = commit()
redis.call('HSET', RESERVATION, 'expiresAt', expiresAt, 'outputCap', textOf(outputCap), 'entries', joined(known[3], numbers))
redis.call('SET', HOLD, writeHold(estimate, detail, writePostings(raised(hold.postings, postings))))
redis.call('ZADD', LEASES, expiresAt, id)
return answer('extended', expiresAt, textOf(outputCap))
`;
