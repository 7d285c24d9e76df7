import { ADOPTION } from "../../../domain/ledger.ts";
import { GRANTING } from "./granting.lua.ts";
import { LENDING } from "./lending.lua.ts";

/**
 * Repeats entries that Redis has lost and the archive has, as they were decided the first time. They are not appended to the stream: they
 * are in the archive. Entries that are known already are passed over, so that several gateways may do this at the same time.
 *
 * KEYS   the common ones
 * ARGV   6 what the keys of the store begin with, 7 '1' when these are the last; then of each entry
 *        `number, time, kind, reservation, postings, detail, expiry, output cap, estimate, series and text of a grant`, and last report, end and
 *        allotments of a lease
 * Returns `restored` when Redis has all again that was seen of it, `known` when it had, `behind` when not yet, `diverged` where an entry does
 *         not follow
 */
export const RESTORE = `
${GRANTING}
local prefix, isLast = ARGV[6], ARGV[7] == '1'
${LENDING}
local REMEMBER_MS = 86400000
local ADOPTION = '${ADOPTION}'
local wanted = {}
for at = 8, #ARGV, 14 do
  local number = tonumber(ARGV[at])
  local after = seq + #wanted + 1
  if number > after then return answer('diverged') end
  if number == after then
    local entry = {
      number = ARGV[at], time = tonumber(ARGV[at + 1]), kind = ARGV[at + 2], id = ARGV[at + 3], text = ARGV[at + 4], detail = ARGV[at + 5],
      expiresAt = ARGV[at + 6], outputCap = ARGV[at + 7], estimate = ARGV[at + 8], series = ARGV[at + 9], grant = ARGV[at + 10],
      reported = ARGV[at + 11], ended = ARGV[at + 12], allotments = ARGV[at + 13],
    }
    entry.postings = readPostings(entry.text)
    load(entry.postings)
    local broken = add(entry)
    if broken then return broken end
    wanted[#wanted + 1] = entry
  end
end
for _, entry in ipairs(wanted) do
  local key, holdKey, kind = prefix .. 'reservation:' .. entry.id, prefix .. 'hold:' .. entry.id, entry.kind
  if kind == 'reserved' then
    redis.call('HSET', key, 'state', 'open', 'expiresAt', entry.expiresAt, 'outputCap', entry.outputCap, 'opened', entry.number, 'attempt', '')
    redis.call('SET', holdKey, writeHold(entry.estimate, entry.detail, entry.text))
    redis.call('ZADD', LEASES, entry.expiresAt, entry.id)
  elseif kind == 'extended' then
    redis.call('HSET', key, 'expiresAt', entry.expiresAt)
    redis.call('ZADD', LEASES, entry.expiresAt, entry.id)
  elseif kind == 'raised' then
    local hold = readHold(redis.call('GET', holdKey))
    redis.call('HSET', key, 'expiresAt', entry.expiresAt, 'outputCap', entry.outputCap)
    redis.call('SET', holdKey, writeHold(entry.estimate, entry.detail, writePostings(raised(hold.postings, entry.postings))))
    redis.call('ZADD', LEASES, entry.expiresAt, entry.id)
  elseif kind == 'settled' or kind == 'released' or kind == 'corrected' then
    redis.call('HDEL', key, 'expiresAt', 'outputCap', 'opened', 'attempt')
    redis.call('HSET', key, 'state', 'ended')
    redis.call('DEL', holdKey)
    redis.call('ZREM', LEASES, entry.id)
  elseif kind == 'expired' then
    redis.call('HDEL', key, 'expiresAt', 'outputCap', 'opened', 'attempt')
    redis.call('HSET', key, 'state', 'expired')
    redis.call('SET', holdKey, writeHold('', entry.detail, entry.text), 'PX', REMEMBER_MS)
    redis.call('ZREM', LEASES, entry.id)
  elseif kind == 'adjusted' then
    local state = redis.call('HGET', key, 'state')
    if state == 'open' or state == 'expired' then redis.call('APPEND', holdKey, entry.text) end
    if entry.id == ADOPTION then redis.call('HSET', META, 'adopted', entry.number) end
  elseif kind == 'leased' then
    local before = readLease(entry.id)
    if before then count(before, -1) end
    local lease = {
      id = entry.id, expiresAt = tonumber(entry.expiresAt), reported = tonumber(entry.reported), ended = entry.ended ~= '' and entry.ended or nil,
      allotments = readPostings(entry.allotments),
    }
    count(lease, 1)
    keepLease(lease, entry.number)
    keepAllotted()
    hasLeases = true
  elseif kind == 'granted' then grant(entry.series, entry.grant)
  elseif kind == 'revoked' then revoke(entry.series, entry.grant) end
  if kind == 'settled' or kind == 'released' or kind == 'corrected' or kind == 'expired' then redis.call('PEXPIRE', key, REMEMBER_MS) end
  latest = math.max(latest, entry.time)
end
seq = seq + #wanted
if #wanted > 0 then flush() end
if not isLast or (fence and fence > seq) then return answer('behind') end
if #wanted == 0 and not fence then return answer('known') end
-- A new epoch: no instance looks for entries of its own in the stream any more. One that saw more than was restored still tells.
epoch = math.max(epoch + 1, stamp)
restored = seq
flush()
redis.call('HSET', META, 'restored', textOf(restored))
redis.call('HDEL', META, 'fence')
return answer('restored')
`;
