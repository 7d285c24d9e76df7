import { ALLOTTED } from "./allotted.lua.ts";
import { LIMITS } from "./limits.lua.ts";

/**
 * Holds what a call asks on all its limits, or on none, and writes it down. Repeating an id gives the same answer. Moving windows are held
 * on the slice of the store's own time.
 *
 * KEYS   12 the reservation, 13 what it holds
 * ARGV   6 id, 7 attempt, 8 lease in milliseconds, 9 least and 10 most output of one answer, 11 share or '', 12 '1' where the call has a price,
 *        13 input tokens, 14 detail as JSON without what is filled in here, 15 to 17 what is asked of output tokens and 18 to 20 of money, as base,
 *        for each token of output, and scale; 21 the limits, 22 what the keys of the store begin with, 23 '1' where the call is patient, 24 and so on the budgets, as JSON, known to refuse if they could
 * Returns `reserved`, output cap, expiry, amount, spent, held and allotted of each limit after the hold, and the indexes of limits that would refuse;
 *         `open`, output cap, expiry, detail, and the picture of the limits, for an id that is held; `ended`; `moved`;
 *         `refused` and the picture of the limits; `uncountable`, the counter and what was added
 */
export const RESERVE = `
local RESERVATION, HOLD = KEYS[12], KEYS[13]
local refused = refusal() or rollCall()
if refused then return refused end
local prefix, isPatient = ARGV[22], ARGV[23] == '1'
${ALLOTTED}
${LIMITS}
local id, attempt, leaseMs = ARGV[6], ARGV[7], tonumber(ARGV[8])
local least, most = tonumber(ARGV[9]), tonumber(ARGV[10])
local share = ARGV[11] ~= '' and tonumber(ARGV[11]) or nil
local isPriced, inputTokens, detail = ARGV[12] == '1', ARGV[13], ARGV[14]
local function askAt(at) return { base = tonumber(ARGV[at]), perOutputToken = tonumber(ARGV[at + 1]), scale = tonumber(ARGV[at + 2]) } end
local outputAsk, moneyAsk = askAt(15), askAt(18)
local limits = readLimits(ARGV[21])

local known = redis.call('HMGET', RESERVATION, 'state', 'outputCap', 'expiresAt', 'entries', 'attempt')
if known[1] == 'open' then
  -- Two attempts share the hold from now on, so neither may undo it when its own answer is lost.
  if known[5] ~= attempt then redis.call('HSET', RESERVATION, 'attempt', '') end
  return picture(answer('open', known[2], known[3], readHold(redis.call('GET', HOLD)).detail), limits)
end
if known[1] then return answer('ended') end
for i, limit in ipairs(limits) do
  if not limit.isSlice then
    if now < limit.startsAt or (limit.resetsAt and now >= limit.resetsAt) then return answer('moved') end
  elseif limit.rule then
    local slice = sliceAt(limit, now - math.fmod(now, limit.rule.slice))
    for field, value in pairs(slice) do limit[field] = value end
  end
end
loadLimits(limits)
local standings = {}
for i, limit in ipairs(limits) do standings[i] = standingOf(limit) end

local function amountOf(ask, tokens) return math.ceil((ask.base + ask.perOutputToken * tokens) / ask.scale) end
local function roomOf(limit, standing) return limit.amount - standing.spent - standing.held end
local function fits(limit, standing, asked)
  local factor = (limit.unit == 'concurrent' or limit.unit == 'requests') and 1 or share or 1
  return asked == 0 or asked * factor <= roomOf(limit, standing)
end

-- Where leases hold what the whole call lacks, they are asked to return it; but not where that would change nothing.
if isPatient and hasLeases then
  local lacking = {}
  for i, limit in ipairs(limits) do
    local standing, lent = standings[i], allottedOn(limit.key).amount
    if limit.isEnforced and not fits(limit, { spent = standing.spent, held = standing.held - lent }, amountOf(limit, least)) then
      lacking = {}
      break
    end
    if lent > 0 and not fits(limit, standing, amountOf(limit, most)) then lacking[#lacking + 1] = limit.key end
  end
  for _, key in ipairs(lacking) do recall(key) end
  if #lacking > 0 then return picture(answer('refused'), limits) end
end

local outputCap = most
for i, limit in ipairs(limits) do
  local room = roomOf(limit, standings[i])
  if limit.isEnforced and amountOf(limit, outputCap) > room then
    local fitting = limit.perOutputToken > 0 and math.floor((room * limit.scale - limit.base) / limit.perOutputToken) or 0
    outputCap = math.max(least, math.min(outputCap, fitting))
  end
end

local postings, wouldRefuse = {}, {}
for i, limit in ipairs(limits) do
  local standing = standings[i]
  local asked = amountOf(limit, outputCap)
  if not fits(limit, standing, asked) then
    if limit.isEnforced or share then return picture(answer('refused'), limits) end
    wouldRefuse[#wouldRefuse + 1] = i
  end
  local uncounted = uncountable(limit, standing, asked)
  if uncounted then return uncounted end
  postings[i] = posted(limit, asked, 0)
end

local refusing = {}
for i = 24, #ARGV do refusing[#refusing + 1] = ARGV[i] end
for _, i in ipairs(wouldRefuse) do
  -- The names of a counter begin with the length of its budget's, which is JSON by itself.
  local length, names = string.match(namesOf(limits[i]), '^(%d+) (.*)$')
  local name, isNew = string.sub(names, 2, 1 + tonumber(length)), true
  for _, budget in ipairs(refusing) do isNew = isNew and budget ~= name end
  if isNew then refusing[#refusing + 1] = name end
end
local outputTokens = textOf(amountOf(outputAsk, outputCap))
local cost = isPriced and ',"cost":' .. textOf(amountOf(moneyAsk, outputCap)) or ''
detail = string.sub(detail, 1, -2) .. ',"outputTokens":' .. outputTokens .. cost
if #refusing > 0 then detail = detail .. ',"wouldRefuse":[' .. table.concat(refusing, ',') .. ']' end
detail = detail .. '}'

local drawn = {}
for _, limit in ipairs(limits) do
  if limit.rule and limit.rule.kind == 'bucket' and limit.isSlice then
    for _, posting in ipairs(drawTogether(limit)) do drawn[#drawn + 1] = posting end
  end
end
local broken
if #drawn > 0 then
  load(drawn)
  broken = add({ kind = 'drained', reservation = '', postings = drawn })
end
local expiresAt = textOf(now + leaseMs)
local text = writePostings(postings)
broken = broken or add({
  kind = 'reserved', reservation = id, postings = postings, text = text, detail = detail,
  body = '{"expiresAt":' .. expiresAt .. ',"outputCap":' .. textOf(outputCap) .. '}',
})
if broken then return broken end
for _, limit in ipairs(limits) do
  if limit.rule and limit.rule.kind == 'rolling' and limit.isSlice then
    local slices = series[limit.seriesKey].slices
    while slices[1] and slices[1].held == 0 and slices[1].resetsAt + KEEP_SLICES_MS < now do table.remove(slices, 1) end
  end
end
local numbers = commit()
local number = numbers[#numbers]
local estimate = '{"usage":{"inputTokens":' .. inputTokens .. ',"outputTokens":' .. outputTokens .. '}' .. cost .. ',"certainty":"unconfirmed"}'
redis.call('HSET', RESERVATION, 'state', 'open', 'expiresAt', expiresAt, 'outputCap', outputCap, 'opened', number, 'attempt', attempt,
  'entries', joined(known[4], { number }))
redis.call('SET', HOLD, writeHold(estimate, detail, text))
redis.call('ZADD', LEASES, expiresAt, id)

local answered = answer('reserved', outputCap, expiresAt)
for i, limit in ipairs(limits) do
  answered[#answered + 1] = shown(limit.amount)
  answered[#answered + 1] = shown(standings[i].spent)
  answered[#answered + 1] = shown(standings[i].held + postings[i].held)
  answered[#answered + 1] = shown(allottedOn(limit.key).amount)
end
for _, i in ipairs(wouldRefuse) do answered[#answered + 1] = i - 1 end
return answered
`;
