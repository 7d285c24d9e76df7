import { LENDING } from "./lending.lua.ts";
import { LIMITS } from "./limits.lua.ts";
import { WEIGHING } from "./weighing.lua.ts";

/**
 * Takes, renews, resizes or ends a lease, and counts what its holder reports: calls that it admitted become reservations whose holds are
 * taken from the lease, and end as any. A report that was counted before changes nothing.
 *
 * KEYS   the common ones: the keys of the reservations and of the lease lie in the same slot
 * ARGV   6 what the keys of the store begin with, 7 id, 8 number of the report, 9 lease in milliseconds, 10 '1' where the lease ends,
 *        11 the limits that are wanted, 12 `amount least;` of each; then of each step `kind, id` and five more:
 *        `open`: holds as postings, output cap, lease in milliseconds, detail as JSON, charge of the estimate as JSON
 *        `settle`: charge as JSON, '1' where the amounts are whole numbers of 0 or more, `unit=amount;` of each, '', ''
 *        `release`: why as JSON, the charge of nothing as JSON, '', '', ''
 *        `extend`: lease in milliseconds, '', '', '', ''
 * Returns `leased` or `expired`, expiry, the number of limits; of each limit what is allotted, the fair part, amount, spent, held and allotted of
 *         all; then of each step that could not be counted its number, and of what cannot be counted exactly the counter, spent, held and what was
 *         added; or `ended`; or `unknown`
 */
export const LEASE = `
local refused = refusal() or rollCall()
if refused then return refused end
local prefix = ARGV[6]
${LENDING}
${LIMITS}
${WEIGHING}
local id, report, leaseMs, ends = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == '1'
local wants = readLimits(ARGV[11])
local wanted = 0
for amount, useful in string.gmatch(ARGV[12], '(%d+) (%d+);') do
  wanted = wanted + 1
  wants[wanted].wanted, wants[wanted].useful = tonumber(amount), tonumber(useful)
end

local lease = readLease(id)

local function fairOf(want, standing, own)
  if lease.ended or want.rule or isRecalled(want.key) then return 0 end
  local holders = allottedOn(want.key).holders + (own > 0 and 0 or 1)
  return math.floor(LEASED_PART * math.max(0, want.amount - standing.spent - standing.held + own) / holders)
end

local function answerPortions(rejected)
  local answered, owns = answer(lease.ended == 'expired' and 'expired' or 'leased', textOf(lease.expiresAt), #wants), amountsOf(lease)
  for _, want in ipairs(wants) do
    local standing, own = standingOf(want), owns[want.key] or 0
    for _, number in ipairs({ own, fairOf(want, standing, own), want.amount, standing.spent, standing.held, allottedOn(want.key).amount }) do
      answered[#answered + 1] = shown(number)
    end
  end
  for _, text in ipairs(rejected) do answered[#answered + 1] = text end
  return answered
end

if lease and lease.ended == 'returned' then return answer('ended') end
if lease and report <= lease.reported then
  loadLimits(wants)
  return answerPortions({})
end
if report ~= (lease and lease.reported or 0) + 1 then return answer('unknown') end
lease = lease or { id = id, expiresAt = 0, reported = 0, allotments = {} }
lease.reported = report
if not lease.ended then lease.expiresAt = math.max(lease.expiresAt, now + leaseMs) end

local calls = {}
local function callOf(callId)
  local call = calls[callId]
  if call then return call end
  local known = redis.call('HMGET', prefix .. 'reservation:' .. callId, 'state', 'entries', 'expiresAt')
  call = { id = callId, state = known[1], before = known[1], entries = known[2], expiresAt = tonumber(known[3] or 0), added = {} }
  if call.state == 'open' or call.state == 'expired' then
    local hold = readHold(redis.call('GET', prefix .. 'hold:' .. callId))
    call.detail, call.estimate, call.postings = hold.detail, hold.estimate, hold.postings
    load(call.postings)
  end
  calls[callId] = call
  return call
end

local function addTo(call, entry)
  entry.reservation, entry.detail = call.id, entry.detail or call.detail
  local broken = add(entry)
  call.added[#call.added + 1] = #entries
  return broken
end

local steps, left, isOpened, areOpened = {}, amountsOf(lease), {}, false
for at = 13, #ARGV, 7 do
  local step = { kind = ARGV[at], id = ARGV[at + 1], fields = { ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6] } }
  steps[#steps + 1] = step
  -- A call whose id was used before is no new one.
  if step.kind == 'open' and not callOf(step.id).state and not isOpened[step.id] then
    isOpened[step.id], areOpened = true, true
    step.holds = readPostings(step.fields[1])
    for _, hold in ipairs(step.holds) do
      local has = left[hold.key] or 0
      hold.held = math.min(hold.held, has)
      left[hold.key] = has - hold.held
    end
  end
end
local broken
if areOpened then broken = changeLease(lease, left, {}, lease.ended) end

local rejected = {}
local function reject(number, ref, added)
  local standing = ref and counters[ref.key]
  rejected[#rejected + 1] = textOf(number - 1)
  rejected[#rejected + 1] = ref and ref.head or ''
  rejected[#rejected + 1] = ref and shown(standing.spent) or ''
  rejected[#rejected + 1] = ref and shown(standing.held) or ''
  rejected[#rejected + 1] = ref and string.format('%.17g', added) or ''
end

local function isCountable(ref, added)
  local standing = counters[ref.key]
  return isSafe(added) and isSafe(standing.spent + standing.held + added)
end

-- Replaces what was charged when a hold expired.
local function correct(number, call, used, charge)
  local postings = {}
  for i, posting in ipairs(call.postings) do
    postings[i] = posted(posting, 0, correctable(posting, used(posting) - posting.spent))
  end
  for _, posting in ipairs(postings) do
    if not isCountable(posting, posting.spent) then return reject(number, posting, posting.spent) end
  end
  broken = broken or addTo(call, { kind = 'corrected', postings = postings, body = '{"charge":' .. charge .. '}' })
  call.state = 'ended'
end

local take = {}

function take.open(_, call, step)
  if not step.holds then return end
  local text, outputCap, callLeaseMs, detail, estimate = unpack(step.fields)
  load(step.holds)
  call.state, call.postings, call.detail, call.estimate = 'open', step.holds, detail, estimate
  call.expiresAt, call.outputCap = now + tonumber(callLeaseMs), outputCap
  broken = broken or addTo(call, {
    kind = 'reserved', postings = step.holds, text = writePostings(step.holds),
    body = '{"expiresAt":' .. textOf(call.expiresAt) .. ',"outputCap":' .. outputCap .. '}',
  })
  call.opened = #entries
end

function take.settle(number, call, step)
  if call.state ~= 'open' and call.state ~= 'expired' then return end
  local charge, isValid, text = unpack(step.fields)
  if isValid ~= '1' then return reject(number) end
  local amounts = {}
  for unit, amount in string.gmatch(text, '([^=]*)=([^;]*);') do amounts[unit] = tonumber(amount) end
  local used = usedOf(amounts, charge)
  if call.state == 'expired' then return correct(number, call, used, charge) end
  local settled, overrun = {}, {}
  for i, posting in ipairs(call.postings) do
    local amount = used(posting)
    settled[i] = posted(posting, 0 - posting.held, math.min(amount, posting.held))
    if amount > posting.held then
      if not isCountable(posting, amount - posting.held) then return reject(number, posting, amount - posting.held) end
      overrun[#overrun + 1] = posted(posting, 0, amount - posting.held)
    end
  end
  local body = '{"charge":' .. charge .. '}'
  broken = broken or addTo(call, { kind = 'settled', postings = settled, body = body })
  if #overrun > 0 then broken = broken or addTo(call, { kind = 'overrun', postings = overrun, body = body }) end
  call.state = 'ended'
end

function take.release(number, call, step)
  if call.state == 'expired' then return correct(number, call, function() return 0 end, step.fields[2]) end
  if call.state ~= 'open' then return end
  local postings = {}
  for i, posting in ipairs(call.postings) do postings[i] = posted(posting, 0 - posting.held, 0) end
  broken = broken or addTo(call, { kind = 'released', postings = postings, body = '{"why":' .. step.fields[1] .. '}' })
  call.state = 'ended'
end

function take.extend(_, call, step)
  if call.state ~= 'open' then return end
  call.expiresAt = math.max(call.expiresAt, now + tonumber(step.fields[1]))
  broken = broken or addTo(call, { kind = 'extended', postings = {}, detail = '', body = '{"expiresAt":' .. textOf(call.expiresAt) .. '}' })
end

for number, step in ipairs(steps) do take[step.kind](number, callOf(step.id), step) end

if ends then
  broken = broken or changeLease(lease, {}, {}, 'returned')
else
  loadLimits(wants)
  local owns, amounts = amountsOf(lease), {}
  for _, want in ipairs(wants) do
    local own = owns[want.key] or 0
    local amount = math.min(own, want.wanted)
    if not lease.ended and want.wanted > own then
      local granted = math.min(want.wanted, math.max(own, fairOf(want, standingOf(want), own)))
      amount = granted < want.useful and own or granted
    end
    amounts[want.key] = amount
  end
  broken = broken or changeLease(lease, amounts, wants, lease.ended)
end
if broken then return broken end

local numbers = commit()
for callId, call in pairs(calls) do
  if #call.added > 0 then
    local key, holdKey, own = prefix .. 'reservation:' .. callId, prefix .. 'hold:' .. callId, {}
    for i, added in ipairs(call.added) do own[i] = numbers[added] end
    redis.call('HSET', key, 'state', call.state, 'entries', joined(call.entries, own))
    if call.state == 'open' then
      redis.call('HSET', key, 'expiresAt', textOf(call.expiresAt))
      redis.call('ZADD', LEASES, textOf(call.expiresAt), callId)
      if call.opened then
        redis.call('HSET', key, 'outputCap', call.outputCap, 'opened', numbers[call.opened], 'attempt', '')
        redis.call('SET', holdKey, writeHold(call.estimate, call.detail, writePostings(call.postings)))
      end
    else
      redis.call('HDEL', key, 'expiresAt', 'outputCap', 'opened', 'attempt')
      redis.call('DEL', holdKey)
      redis.call('ZREM', LEASES, callId)
      if call.before == 'expired' then redis.call('PERSIST', key) end
    end
  end
end
keepLease(lease, numbers[#numbers])
keepAllotted()
if ends then return answer('ended') end
return answerPortions(rejected)
`;
