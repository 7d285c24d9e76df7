/**
 * What every script begins with. It promises: nothing is written before everything is decided and checked, all entries of a command are
 * appended with the numbers that follow the last one, and a store that lost what it acknowledged changes nothing.
 *
 * KEYS   1 meta, 2 ledger, 3 counters, 4 leases, 5 closing, 6 marks
 * ARGV   1 time in milliseconds ('' takes the server's), 2 epoch known, 3 highest entry seen, 4 instance, 5 last entry written by the instance
 * Returns epoch, last entry, last entry of the instance, time, and then what the script decided
 */
export const SHARED = String.raw`
local META, LEDGER, COUNTERS, LEASES, CLOSING, MARKS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local SAFE_MOST = 9007199254740991
local MARK_EVERY = 256
local CHUNK = 500
local OWN = 'i:' .. ARGV[4]

-- Adding 0 turns the -0 of arithmetic into the 0 that a ledger can keep.
local function textOf(number) return string.format('%.0f', number + 0) end

local function isSafe(number)
  return number == math.floor(number) and number <= SAFE_MOST and number >= -SAFE_MOST
end

local clock = redis.call('TIME')
local stamp = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now = ARGV[1] == '' and stamp or tonumber(ARGV[1])

local meta = redis.call('HMGET', META, 'seq', 'latest', 'epoch', 'fence', 'restored', OWN)
local seq = tonumber(meta[1] or 0)
local latest = tonumber(meta[2] or 0)
local epoch = tonumber(meta[3] or 0)
local fence = meta[4] and tonumber(meta[4])
local restored = meta[5] and tonumber(meta[5])
local own, ownSince = string.match(meta[6] or '0 0', '^(%d+) (%d+)$')
own, ownSince = tonumber(own), tonumber(ownSince)

local function answer(...)
  return { textOf(epoch), textOf(seq), textOf(own), textOf(now), ... }
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
    redis.call('HSET', META, 'fence', textOf(fence))
  end
  if fence then return answer('regressed', textOf(fence)) end
  return nil
end

local counters = {}

local function load(keys)
  for first = 1, #keys, CHUNK do
    local last = math.min(first + CHUNK - 1, #keys)
    local values = redis.call('HMGET', COUNTERS, unpack(keys, first, last))
    for i = first, last do
      local value = values[i - first + 1]
      if not counters[keys[i]] then
        local held, spent, ref = string.match(value or '0 0 ', '^(%S+) (%S+) (.*)$')
        counters[keys[i]] = { held = tonumber(held), spent = tonumber(spent), ref = ref, isNew = not value }
      end
    end
  end
end

local function keysOf(postings)
  local keys = {}
  for i, posting in ipairs(postings) do keys[i] = posting.key end
  return keys
end

local function readPostings(text)
  local postings = {}
  for key, unit, rest, held, spent in string.gmatch(text, '([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\n') do
    postings[#postings + 1] = { key = key, unit = unit, rest = rest, held = tonumber(held), spent = tonumber(spent) }
  end
  return postings
end

local function writePostings(postings)
  local lines = {}
  for i, posting in ipairs(postings) do
    lines[i] = table.concat({ posting.key, posting.unit, posting.rest, textOf(posting.held), textOf(posting.spent) }, '\t') .. '\n'
  end
  return table.concat(lines)
end

-- What keeps spent and held together from being counted exactly, if anything. The counters are loaded.
local function uncountable(posting, added)
  local counter = counters[posting.key]
  if isSafe(added) and isSafe(counter.spent + counter.held + added) then return nil end
  return answer('uncountable', posting.key, posting.unit, posting.rest, textOf(counter.spent), textOf(counter.held), string.format('%.17g', added))
end

local entries = {}

-- Posts an entry to the loaded counters, in memory. Returns the answer where a counter would be broken.
local function add(entry)
  entries[#entries + 1] = entry
  for _, posting in ipairs(entry.postings) do
    local counter = counters[posting.key]
    counter.held = counter.held + posting.held
    counter.spent = counter.spent + posting.spent
    counter.isChanged = true
    if counter.isNew then
      counter.ref = posting.unit .. ' ' .. posting.rest
      counter.resetsAt = string.match(posting.rest, '^%d*')
    end
    if counter.held < 0 or not isSafe(counter.spent) or not isSafe(counter.held) then
      return answer('broken', posting.key, string.format('%.17g', counter.held), string.format('%.17g', counter.spent))
    end
  end
  return nil
end

-- Writes the counters as they are now, and where the ledger ends.
local function flush()
  local changed = {}
  for key, counter in pairs(counters) do
    if counter.isChanged then
      changed[#changed + 1] = key
      changed[#changed + 1] = textOf(counter.held) .. ' ' .. textOf(counter.spent) .. ' ' .. counter.ref
      if counter.isNew and counter.resetsAt ~= '' then redis.call('ZADD', CLOSING, counter.resetsAt, key) end
    end
  end
  for first = 1, #changed, CHUNK do
    redis.call('HSET', COUNTERS, unpack(changed, first, math.min(first + CHUNK - 1, #changed)))
  end
  if epoch == 0 then epoch = stamp end
  redis.call('HSET', META, 'seq', textOf(seq), 'latest', textOf(latest), 'epoch', textOf(epoch), OWN, textOf(own) .. ' ' .. textOf(stamp))
end

-- Writes all entries and what they changed. Returns the numbers of the entries, to be kept with their reservation.
local function commit()
  local numbers = {}
  for i, entry in ipairs(entries) do
    seq = seq + 1
    latest = math.max(latest, now)
    numbers[i] = textOf(seq)
    redis.call('XADD', LEDGER, numbers[i] .. '-0', 'k', entry.kind, 't', textOf(now), 'r', entry.reservation,
      'p', entry.text or writePostings(entry.postings), 'd', entry.detail or '', 'b', entry.body or '')
    if seq % MARK_EVERY == 0 then redis.call('ZADD', MARKS, textOf(latest), textOf(seq)) end
  end
  own = seq
  flush()
  return table.concat(numbers, ',')
end

local function joined(known, more)
  return known and known ~= '' and known .. ',' .. more or more
end
`;
