import { FILLING } from "./filling.lua.ts";

/**
 * How limits stand, as the scripts take and see them.
 *
 * ARGV   one text of JSON, with of each limit: the counter as postings name it, how much of that is its key and its series, the unit, 1 for a slice,
 *        when it began and when it resets (-1 never); the amount, from when on it is enforced (-1 never); what is asked of it as base, for each token of output, and
 *        scale; and where it has them a rule (`rolling`, length, slice, 0, or `bucket`, drains, period, slice, or '' and zeros), and a
 *        rollover (amount, most, key)
 */
export const LIMITS = `
local function readLimits(text)
  local limits = cjson.decode(text)
  for i, fields in ipairs(limits) do
    local head = fields[1]
    local limit = {
      head = head, key = string.sub(head, 1, fields[2]), seriesKey = string.sub(head, 1, fields[3]), unit = fields[4], isSlice = fields[5] == 1,
      startsAt = fields[6], resetsAt = fields[7] >= 0 and fields[7] or nil, amount = fields[8], isEnforced = fields[9] >= 0 and now >= fields[9],
      base = fields[10], perOutputToken = fields[11], scale = fields[12],
    }
    local kind = fields[13]
    if kind == 'rolling' then limit.rule = { kind = kind, length = fields[14], slice = fields[15] }
    elseif kind == 'bucket' then limit.rule = { kind = kind, drains = fields[14], period = fields[15], slice = fields[16] } end
    if fields[17] then limit.rollover = { amount = fields[17], most = fields[18], key = fields[19] } end
    limits[i] = limit
  end
  return limits
end

-- What only readers need of a counter, which is not taken apart where it is only passed on.
local function namesOf(limit) return string.match(limit.head, '\\t[^\\t]*\\ts?%d* %d* %d+ (.*)$') end

-- Loads all that the limits are judged by, and gives them the amounts in force: with what is granted and carried over.
local function loadLimits(limits)
  load(limits)
  local names, befores = {}, {}
  for i, limit in ipairs(limits) do
    names[i] = limit.seriesKey
    if limit.rollover and not counters[limit.rollover.key] then befores[#befores + 1] = limit.rollover.key end
  end
  loadKeys(befores)
  for i, text in ipairs(grantsOf(names)) do
    local limit = limits[i]
    local added = 0
    for amount, from, until_ in string.gmatch(text, '[^\\t\\n]*\\t(%-?%d+)\\t(%d+)\\t(%d+)\\t[^\\n]*\\n') do
      if tonumber(from) <= now and now < tonumber(until_) then added = added + tonumber(amount) end
    end
    if limit.rollover then
      local before = counters[limit.rollover.key]
      added = added + math.min(limit.rollover.most, math.max(0, limit.rollover.amount - before.spent - before.held))
    end
    if added ~= 0 then limit.amount = math.max(0, math.min(SAFE_MOST, limit.amount + added)) end
  end
end

-- All that the limits are judged by, as it is written down, for the engine to judge once more.
local function picture(answered, limits)
  local keys, names = {}, {}
  for i, limit in ipairs(limits) do
    keys[#keys + 1] = limit.key
    keys[#keys + 1] = limit.rollover and limit.rollover.key or limit.key
    names[i] = limit.seriesKey
  end
  local values, slices = {}, {}
  for first = 1, #keys, CHUNK do
    local last = math.min(first + CHUNK - 1, #keys)
    local held, spent = redis.call('HMGET', HELD, unpack(keys, first, last)), redis.call('HMGET', SPENT, unpack(keys, first, last))
    local defined = redis.call('HMGET', DEFINITIONS, unpack(keys, first, last))
    for i, amount in ipairs(held) do values[#values + 1] = amount and amount .. ' ' .. spent[i] .. '\\t' .. defined[i] end
  end
  for first = 1, #names, CHUNK do
    for _, value in ipairs(redis.call('HMGET', SERIES, unpack(names, first, math.min(first + CHUNK - 1, #names)))) do slices[#slices + 1] = value end
  end
  for i, text in ipairs(grantsOf(names)) do
    answered[#answered + 1] = limits[i].rule and slices[i] or values[2 * i - 1] or ''
    answered[#answered + 1] = limits[i].rollover and values[2 * i] or ''
    answered[#answered + 1] = text
    local lent = allottedOn(limits[i].key).amount
    answered[#answered + 1] = lent > 0 and textOf(lent) or ''
  end
  return answered
end

${FILLING}
local function seriesStanding(rule, slices)
  if rule.kind == 'rolling' then
    local spent, held = 0, 0
    for _, slice in ipairs(slices) do
      if slice.startsAt + rule.slice > now - rule.length then spent, held = spent + slice.spent, held + slice.held end
    end
    return { spent = spent, held = held }
  end
  local spent = levelAt(rule, slices, now, spentOf)
  return { spent = spent, held = math.max(0, levelAt(rule, slices, now, reservedOf) - spent) }
end

local function standingOf(limit)
  if limit.rule then return seriesStanding(limit.rule, limit.isSlice and series[limit.seriesKey].slices or {}) end
  local counter = counters[limit.key]
  return { spent = counter.spent, held = counter.held }
end

-- Draws the oldest slices of a bucket together into one, where no decision is another one for it.
local function drawTogether(limit)
  local rule, slices = limit.rule, series[limit.seriesKey].slices
  local oldest = slices[1]
  if not oldest or oldest.startsAt + rule.slice + 2 * rule.period > now then return {} end
  local latestAt = now - rule.period
  for _, slice in ipairs(slices) do
    if slice.held ~= 0 then
      latestAt = math.min(latestAt, slice.startsAt)
      break
    end
  end
  local closed = {}
  for _, slice in ipairs(slices) do
    if slice.startsAt + rule.slice <= latestAt then closed[#closed + 1] = slice end
  end
  local _, since = filled(rule, closed, latestAt, spentOf)
  local at = since + math.floor((latestAt - since) / rule.period) * rule.period
  if at < oldest.startsAt + rule.slice + rule.period then return {} end
  local past = {}
  for _, slice in ipairs(closed) do
    if slice.startsAt + rule.slice <= at then past[#past + 1] = slice end
  end
  local level, startsAt, postings = levelAt(rule, past, at, spentOf), at - rule.slice, {}
  for _, slice in ipairs(past) do
    if slice.startsAt == startsAt then level = level - slice.spent
    elseif slice.spent ~= 0 then
      postings[#postings + 1] = posted(sliceAt(limit, slice.startsAt, slice.resetsAt), 0, 0 - slice.spent)
    end
  end
  if level ~= 0 then postings[#postings + 1] = posted(sliceAt(limit, startsAt), 0, level) end
  return postings
end
`;
