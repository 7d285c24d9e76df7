/** How long the first call after a fail-over waits at most for what other instances know. */
export const ROLL_CALL_MS = 5_000;

/**
 * What every script begins with. It promises: nothing is written before everything is decided and checked, all entries of a command are
 * appended with the numbers that follow the last one, and a store that lost what it acknowledged changes nothing.
 *
 * KEYS   1 meta, 2 ledger, 3 held, 4 spent, 5 definitions, 6 series, 7 grants, 8 leases, 9 closing, 10 marks, 11 rare
 * ARGV   1 time in milliseconds ('' takes the server's), 2 epoch known, 3 highest entry seen, 4 instance, 5 last entry written by the instance
 * Returns epoch, last entry, last entry of the instance, time, and then what the script decided
 */
export const SHARED = String.raw`
local META, LEDGER, HELD, SPENT, DEFINITIONS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local SERIES, GRANTS, LEASES, CLOSING, MARKS, RARE = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local IS_RARE = { granted = true, revoked = true, adjusted = true }
local SAFE_MOST = 9007199254740991
local MARK_EVERY = 256
local CHUNK = 500
local KEEP_SLICES_MS = 600000
-- Instances are heard every second, and find a server that took over within some.
local ALIVE_MS = 5000
local ROLL_CALL_MS = ${ROLL_CALL_MS}
local OWN = 'i:' .. ARGV[4]

-- Redis writes the numbers that it is given whole, up to 2^53. In texts they are written here. Adding 0 turns the -0 of arithmetic into 0.
local function textOf(number) return string.format('%.0f', number + 0) end

-- Not every client reads integers of more than 52 bits exactly.
local function shown(number)
  if number < 4503599627370496 and number > -4503599627370496 then return number end
  return textOf(number)
end

local function isSafe(number)
  return number == math.floor(number) and number <= SAFE_MOST and number >= -SAFE_MOST
end

local clock = redis.call('TIME')
local stamp = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now = ARGV[1] == '' and stamp or tonumber(ARGV[1])

local meta = redis.call('HMGET', META, 'seq', 'latest', 'epoch', 'fence', 'restored', OWN, 'granted', 'leased')
local seq = tonumber(meta[1] or 0)
local latest = tonumber(meta[2] or 0)
local epoch = tonumber(meta[3] or 0)
local fence = meta[4] and tonumber(meta[4])
local restored = meta[5] and tonumber(meta[5])
local own = tonumber(string.match(meta[6] or '0', '^%d+'))
local hasGrants = meta[7] == '1'
local hasLeases = meta[8] == '1'

local function answer(...)
  return { epoch, seq, own, now, ... }
end

-- A store that has fewer entries than were acknowledged, or not the ones that an instance wrote, has lost some: a fail-over to a replica
-- that was behind, a restart without its file. All instances are told, until the ledger is restored or the loss is accepted.
local function refusal()
  local knownEpoch, leastSeq, leastOwn = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
  local isBehind
  if knownEpoch > epoch then isBehind = true
  elseif knownEpoch == epoch then isBehind = seq < leastSeq or own < leastOwn
  elseif knownEpoch == 0 then isBehind = seq < leastSeq
  else isBehind = restored and leastSeq > restored end
  if isBehind and (not fence or leastSeq > fence) then
    fence = leastSeq
    redis.call('HSET', META, 'fence', fence)
  end
  if fence then return answer('regressed', fence) end
  return nil
end

-- The instances that were there when the last of them was heard.
local function living()
  local fields, since, newest = redis.call('HGETALL', META), {}, 0
  for i = 1, #fields, 2 do
    local instance = string.match(fields[i], '^i:(.+)$')
    if instance then
      since[instance] = tonumber(string.match(fields[i + 1], '%d+$'))
      newest = math.max(newest, since[instance])
    end
  end
  local names = ''
  for instance, heard in pairs(since) do
    if heard >= newest - ALIVE_MS then names = names .. ' ' .. instance end
  end
  return names
end

-- A server that is not the one which decided last may be a replica that was behind, and only whoever wrote what it lacks can tell. So nobody
-- is let in before all instances that lived were heard, or had the time to be. Its history changes for other reasons too, so that alone is
-- no sign; its name changes when it starts as well, and then it may have lost what it had not yet written down.
local function rollCall()
  local info = redis.pcall('INFO', 'replication')
  local history = type(info) == 'string' and string.match(info, 'master_replid:(%x+)')
  if not history or epoch == 0 then return nil end
  local known = redis.call('HMGET', META, 'history', 'server', 'roll')
  local server, roll = known[2], known[3] or ''
  if history ~= known[1] then
    local found = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
    -- What was restored to an empty server has no names, so all the time is given to whoever may come.
    if server and server ~= found then roll = textOf(now) .. living()
    elseif not server and restored then roll = textOf(now) .. ' ?' end
    redis.call('HSET', META, 'history', history, 'server', found, 'roll', roll)
  end
  if roll == '' then return nil end
  local awaited = {}
  for instance in string.gmatch(roll, ' (%S+)') do
    if instance ~= ARGV[4] then awaited[#awaited + 1] = instance end
  end
  local began = string.match(roll, '^%d+')
  if #awaited == 0 or math.abs(now - began) >= ROLL_CALL_MS then
    redis.call('HSET', META, 'roll', '')
    return nil
  end
  redis.call('HSET', META, 'roll', began .. ' ' .. table.concat(awaited, ' '))
  return answer('unsure', #awaited)
end

-- A counter is written as its key, its unit, and the rest of what defines it: 's' for a slice of a moving window, until when it is kept, when it
-- resets, when it began, and what only readers need. None of them has a tab. What is not asked for is not taken apart.
local SLICE = 115

local function parsed(ref)
  if not ref.more then
    local rest = string.sub(ref.head, #ref.key + #ref.unit + 3)
    local keptUntil, resetsAt, startsAt, more = string.match(rest, '^s?(%d*) (%d*) (%d+) (.*)$')
    ref.keptUntil, ref.resetsAt, ref.startsAt, ref.more = keptUntil, tonumber(resetsAt), tonumber(startsAt), more
    ref.seriesKey = string.sub(ref.key, 1, -2 - #startsAt)
  end
  return ref
end

-- The slice of a moving window in which a time is, as another slice of it names it.
local function sliceAt(ref, startsAt, resetsAt)
  resetsAt = resetsAt or ref.resetsAt - ref.startsAt + startsAt
  local key = ref.seriesKey .. '|' .. textOf(startsAt)
  local rest = table.concat({ 's' .. textOf(resetsAt + KEEP_SLICES_MS), textOf(resetsAt), textOf(startsAt), parsed(ref).more }, ' ')
  return parsed({ head = key .. '\t' .. ref.unit .. '\t' .. rest, key = key, unit = ref.unit, isSlice = true })
end

-- Counters by their key. Those of a series are its slices, which are kept together, in the order of time.
local counters, series = {}, {}

local function loadKeys(keys)
  for first = 1, #keys, CHUNK do
    local last = math.min(first + CHUNK - 1, #keys)
    local held = redis.call('HMGET', HELD, unpack(keys, first, last))
    local spent = redis.call('HMGET', SPENT, unpack(keys, first, last))
    for i = first, last do
      local at = i - first + 1
      counters[keys[i]] = { held = tonumber(held[at] or 0), spent = tonumber(spent[at] or 0), isNew = not held[at] }
    end
  end
end

local function readSeries(name, value)
  local definition, text = string.match(value or '\n', '^([^\n]*)\n(.*)$')
  local one = { definition = definition, slices = {}, at = {} }
  for startsAt, resetsAt, held, spent in string.gmatch(text, '(%S+) (%S+) (%S+) (%S+);') do
    local slice = { startsAt = tonumber(startsAt), resetsAt = tonumber(resetsAt), held = tonumber(held), spent = tonumber(spent), series = one, isIn = true }
    one.slices[#one.slices + 1] = slice
    counters[name .. '|' .. startsAt] = slice
  end
  series[name] = one
end

local function load(refs)
  local keys, names, isAsked = {}, {}, {}
  for _, ref in ipairs(refs) do
    local name = ref.isSlice and parsed(ref).seriesKey or ref.key
    if not isAsked[name] and not counters[name] and not series[name] then
      isAsked[name] = true
      local wanted = ref.isSlice and names or keys
      wanted[#wanted + 1] = name
    end
  end
  loadKeys(keys)
  for first = 1, #names, CHUNK do
    local last = math.min(first + CHUNK - 1, #names)
    local values = redis.call('HMGET', SERIES, unpack(names, first, last))
    for i = first, last do readSeries(names[i], values[i - first + 1]) end
  end
  for _, ref in ipairs(refs) do
    if ref.isSlice and not counters[ref.key] then
      counters[ref.key] = { startsAt = ref.startsAt, held = 0, spent = 0, series = series[ref.seriesKey] }
    end
  end
end

local function readPostings(text, from)
  local postings, at = {}, from or 1
  local find, sub = string.find, string.sub
  while at <= #text do
    local afterKey = find(text, '\t', at, true)
    local afterUnit = find(text, '\t', afterKey + 1, true)
    local afterHead = find(text, '\t', afterUnit + 1, true)
    local afterHeld = find(text, '\t', afterHead + 1, true)
    local afterSpent = find(text, '\n', afterHeld + 1, true)
    postings[#postings + 1] = {
      head = sub(text, at, afterHead - 1), key = sub(text, at, afterKey - 1), unit = sub(text, afterKey + 1, afterUnit - 1),
      isSlice = string.byte(text, afterUnit + 1) == SLICE,
      held = tonumber(sub(text, afterHead + 1, afterHeld - 1)), spent = tonumber(sub(text, afterHeld + 1, afterSpent - 1)),
    }
    at = afterSpent + 1
  end
  return postings
end

local function writePostings(postings)
  local lines = {}
  for i, posting in ipairs(postings) do
    lines[i] = string.format('%s\t%.0f\t%.0f\n', posting.head, posting.held + 0, posting.spent + 0)
  end
  return table.concat(lines)
end

-- A hold is kept as the charge of its estimate, its detail and its postings, one below the other.
local function readHold(text)
  local afterEstimate = string.find(text, '\n', 1, true)
  local afterDetail = string.find(text, '\n', afterEstimate + 1, true)
  return {
    estimate = string.sub(text, 1, afterEstimate - 1), detail = string.sub(text, afterEstimate + 1, afterDetail - 1),
    postings = readPostings(text, afterDetail + 1),
  }
end

-- The postings of a hold with what was added to them.
local function raised(postings, added)
  local more, all = {}, {}
  for _, posting in ipairs(added) do more[posting.key] = posting.held end
  for i, posting in ipairs(postings) do
    all[i] = { head = posting.head, key = posting.key, unit = posting.unit, isSlice = posting.isSlice, held = posting.held + (more[posting.key] or 0), spent = posting.spent }
  end
  return all
end

local function writeHold(estimate, detail, postings) return estimate .. '\n' .. detail .. '\n' .. postings end

local function isBucket(ref)
  return string.match(parsed(ref).more, ' bucket",?%d*%]$') or string.match(ref.more, ' leaky",?%d*%]$')
end

-- Of what a correction takes back, what was not taken back by a reset meanwhile; but in a bucket all of it, since its slices can be less than nothing.
local function correctable(ref, change)
  return isBucket(ref) and change or math.max(change, math.min(0, 0 - counters[ref.key].spent))
end

local function posted(ref, held, spent)
  return { head = ref.head, key = ref.key, unit = ref.unit, isSlice = ref.isSlice, held = held, spent = spent }
end

-- What keeps spent and held together from being counted exactly, if anything.
local function uncountable(ref, standing, added)
  if isSafe(added) and isSafe(standing.spent + standing.held + added) then return nil end
  return answer('uncountable', ref.head, shown(standing.spent), shown(standing.held), string.format('%.17g', added))
end

local function insert(slice)
  local slices = slice.series.slices
  local i = #slices
  while i > 0 and slices[i].startsAt > slice.startsAt do i = i - 1 end
  table.insert(slices, i + 1, slice)
  slice.isIn = true
end

local function remove(slice)
  local slices = slice.series.slices
  for i = #slices, 1, -1 do
    if slices[i] == slice then table.remove(slices, i) end
  end
  slice.isIn = false
end

local entries = {}

-- Posts an entry to the loaded counters, in memory. A slice on which nothing stands any more is not kept. Returns the answer where a
-- counter would be broken.
local function add(entry)
  entries[#entries + 1] = entry
  for _, posting in ipairs(entry.postings) do
    local counter = counters[posting.key]
    if counter.series and not counter.isIn then
      local one = counter.series
      counter.resetsAt = parsed(posting).resetsAt
      one.definition = posting.unit .. ' ' .. posting.more
      insert(counter)
    elseif counter.isNew and not counter.isChanged then
      counter.definition = string.sub(posting.head, #posting.key + 2)
      counter.keptUntil = parsed(posting).keptUntil
    end
    counter.held = counter.held + posting.held
    counter.spent = counter.spent + posting.spent
    counter.isChanged = true
    if counter.series then counter.series.isChanged = true end
    if counter.held < 0 or not isSafe(counter.spent) or not isSafe(counter.held) then
      return answer('broken', posting.key, string.format('%.17g', counter.held), string.format('%.17g', counter.spent))
    end
    if counter.series and counter.held == 0 and counter.spent == 0 then remove(counter) end
  end
  return nil
end

local function writeAll(key, changed)
  for first = 1, #changed, CHUNK do redis.call('HSET', key, unpack(changed, first, math.min(first + CHUNK - 1, #changed))) end
end

local function writeSeries(name, one)
  local slices, keptUntil = {}, 0
  for i, slice in ipairs(one.slices) do
    slices[i] = table.concat({ textOf(slice.startsAt), textOf(slice.resetsAt), textOf(slice.held), textOf(slice.spent) }, ' ') .. ';'
    keptUntil = math.max(keptUntil, slice.resetsAt + KEEP_SLICES_MS)
  end
  if #slices == 0 then
    redis.call('HDEL', SERIES, name)
    redis.call('ZREM', CLOSING, 's' .. name)
    return
  end
  redis.call('HSET', SERIES, name, one.definition .. '\n' .. table.concat(slices))
  redis.call('ZADD', CLOSING, keptUntil, 's' .. name)
end

-- Writes the counters as they are now, and where the ledger ends.
local function flush()
  local held, spent, defined = {}, {}, {}
  for key, counter in pairs(counters) do
    if counter.isChanged and not counter.series then
      local at = #held + 1
      held[at], held[at + 1] = key, counter.held
      spent[at], spent[at + 1] = key, counter.spent
      if counter.isNew then
        defined[#defined + 1] = key
        defined[#defined + 1] = counter.definition
        if counter.keptUntil ~= '' then redis.call('ZADD', CLOSING, counter.keptUntil, 'c' .. key) end
      end
    end
  end
  writeAll(HELD, held)
  writeAll(SPENT, spent)
  writeAll(DEFINITIONS, defined)
  for name, one in pairs(series) do
    if one.isChanged then writeSeries(name, one) end
  end
  if epoch == 0 then epoch = stamp end
  redis.call('HSET', META, 'seq', seq, 'latest', latest, 'epoch', epoch, OWN, textOf(own) .. ' ' .. textOf(stamp))
end

-- Writes all entries and what they changed. Returns the numbers of the entries, to be kept with their reservation.
local function commit()
  local numbers = {}
  for i, entry in ipairs(entries) do
    seq = seq + 1
    latest = math.max(latest, now)
    numbers[i] = textOf(seq)
    redis.call('XADD', LEDGER, numbers[i] .. '-0', 'k', entry.kind, 't', now, 'r', entry.reservation,
      'p', entry.text or writePostings(entry.postings), 'd', entry.detail or '', 'b', entry.body or '')
    if IS_RARE[entry.kind] then redis.call('ZADD', RARE, seq, seq) end
    if seq % MARK_EVERY == 0 then redis.call('ZADD', MARKS, latest, seq) end
  end
  own = seq
  flush()
  return numbers
end

local function joined(known, numbers)
  local more = table.concat(numbers, ',')
  return known and known ~= '' and known .. ',' .. more or more
end

-- Grants of some series, as they are written down: one on a line. Where nothing was ever granted nothing is looked for.
local function grantsOf(names)
  local values = {}
  for first = 1, #names, CHUNK do
    local last = math.min(first + CHUNK - 1, #names)
    local found = hasGrants and redis.call('HMGET', GRANTS, unpack(names, first, last)) or {}
    for i = first, last do values[i] = found[i - first + 1] or '' end
  end
  return values
end
`;
