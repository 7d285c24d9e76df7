import { ALLOTTED } from "./allotted.lua.ts";

/**
 * How leases are kept: of each a hash with its expiry, its last report, how it ended, and its allotments, written as postings that hold them.
 * A sorted set has those that are open by their expiry.
 */
export const LENDING = `
${ALLOTTED}
local LENDING = prefix .. 'lending'
local REMEMBER_LEASE_MS = 86400000
local LEASED_PART = 0.5

local function readLease(id)
  local known = redis.call('HMGET', prefix .. 'lease:' .. id, 'expiresAt', 'reported', 'end', 'allotments', 'last')
  if not known[1] then return nil end
  return {
    id = id, expiresAt = tonumber(known[1]), reported = tonumber(known[2]), ended = known[3] ~= '' and known[3] or nil,
    allotments = readPostings(known[4]), last = tonumber(known[5]),
  }
end

local function amountsOf(lease)
  local amounts = {}
  for _, one in ipairs(lease.allotments) do amounts[one.key] = one.held end
  return amounts
end

local function count(lease, sign)
  if lease.ended then return end
  for _, one in ipairs(lease.allotments) do
    local known = allottedOn(one.key)
    known.amount, known.holders, known.isChanged = known.amount + sign * one.held, known.holders + sign, true
  end
end

-- Gives a lease other amounts, on its counters and on others, and adds the entry that says so: what is allotted is held while the lease is
-- open, and charged when it has expired.
local function changeLease(lease, amounts, others, ended)
  local postings, allotments, texts, isIn = {}, {}, {}, {}
  local function change(ref, was)
    isIn[ref.key] = true
    local is = amounts[ref.key] or 0
    local held = (ended == 'expired' and 0 or is) - (lease.ended == 'expired' and 0 or was)
    local spent = (ended == 'expired' and is or 0) - (lease.ended == 'expired' and was or 0)
    postings[#postings + 1] = posted(ref, held, spent)
    texts[#texts + 1] = textOf(is)
    if is > 0 then allotments[#allotments + 1] = posted(ref, is, 0) end
  end
  for _, one in ipairs(lease.allotments) do change(one, one.held) end
  for _, ref in ipairs(others) do
    if not isIn[ref.key] and amounts[ref.key] > 0 then change(ref, 0) end
  end
  count(lease, -1)
  lease.allotments, lease.ended = allotments, ended
  count(lease, 1)
  load(postings)
  return add({
    kind = 'leased', reservation = lease.id, postings = postings,
    body = '{"expiresAt":' .. textOf(lease.expiresAt) .. ',"reported":' .. textOf(lease.reported) .. ',"allotted":[' .. table.concat(texts, ',')
      .. ']' .. (ended and ',"end":"' .. ended .. '"' or '') .. '}',
  })
end

-- A lease that has run out. Calls at once are only ever held, so nothing of them is charged.
local function expireLease(lease)
  local amounts = amountsOf(lease)
  for _, one in ipairs(lease.allotments) do
    if one.unit == 'concurrent' then amounts[one.key] = 0 end
  end
  return changeLease(lease, amounts, {}, 'expired')
end

local function keepLease(lease, last)
  local key = prefix .. 'lease:' .. lease.id
  redis.call('HSET', key, 'expiresAt', textOf(lease.expiresAt), 'reported', textOf(lease.reported), 'end', lease.ended or '',
    'allotments', writePostings(lease.allotments), 'last', last)
  if lease.ended then
    redis.call('ZREM', LENDING, lease.id)
    redis.call('PEXPIRE', key, REMEMBER_LEASE_MS)
  else
    redis.call('ZADD', LENDING, textOf(lease.expiresAt), lease.id)
  end
end

local function keepAllotted()
  for key, one in pairs(allotted) do
    if one.isChanged then
      if one.holders == 0 then redis.call('HDEL', ALLOTTED, key)
      else redis.call('HSET', ALLOTTED, key, textOf(one.amount) .. ' ' .. textOf(one.holders)) end
    end
  end
  redis.call('HSET', META, 'leased', '1')
end
`;
