import { ALERTS_MOST, ALERTS_MOST_MS, DELIVERIES_MOST, LEASE_MS, WAITING_MOST, WAITING_MOST_MS } from "./alert-book.ts";

/** A gateway that was not heard of for so long is gone. */
const GONE_AFTER_MS = 10_000;
/** What a gateway sees it has written down within this, if it lives. */
const WRITTEN_AFTER_MS = 30_000;
/** A notice that is delivered after another one is looked at so much later again. */
const AFTER_MS = 1_000;

/**
 * What every script begins with: the time, and how a notice begins to wait. What waits is a hash of its own, and stands in the line of its channel by
 * when it is due; who takes it puts it further back in the line, so that it comes up again where its taker died.
 *
 * ARGV   1 time in milliseconds ('' takes the server's)
 */
const SHARED = `
local clock = redis.call('TIME')
local now = tonumber(ARGV[1]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local function wait(line, waiting, id, notice, after)
  local due = math.max(cjson.decode(notice).notBefore or now, now)
  local kept = due - now + ${WAITING_MOST_MS}
  redis.call('HSET', waiting, 'notice', notice, 'attempts', 0, 'after', after)
  redis.call('PEXPIRE', waiting, kept)
  redis.call('ZADD', line, due, id)
  if redis.call('PTTL', line) < kept then redis.call('PEXPIRE', line, kept) end
end
`;

/**
 * Writes down that something is told, and has its notice wait; or neither. Of an incident that is open, the higher share stays. An alert is
 * known from then on, by when it was told.
 *
 * KEYS   1 the line of the channel, 2 the notice as it waits, 3 incidents, 4 how often incidents changed, 5 the alert, 6 alerts, 7… the claims
 * ARGV   2 until when the claims hold ('' for ever), 3 id of the notice ('' where there is none), 4 notice, 5 incident id ('' where there is
 *        none), 6 incident, 7 the channel of an alert ('' where it is none)
 * Returns claimed, known or full
 */
export const CLAIM = `${SHARED}
local known = redis.call('GET', KEYS[#KEYS])
if known and (tonumber(known) or math.huge) > now then return 'known' end
if redis.call('ZCARD', KEYS[1]) >= ${WAITING_MOST} then return 'full' end
for i = 7, #KEYS do
  if ARGV[2] == '' then redis.call('SET', KEYS[i], '') else redis.call('SET', KEYS[i], ARGV[2], 'PXAT', ARGV[2]) end
end
if ARGV[3] ~= '' then wait(KEYS[1], KEYS[2], ARGV[3], ARGV[4], '') end
if ARGV[7] ~= '' then
  redis.call('HSETNX', KEYS[5], 'notice', ARGV[4])
  redis.call('HSETNX', KEYS[5], 'until', ARGV[2])
  redis.call('HSET', KEYS[5], 'channel:' .. ARGV[7], '')
  redis.call('PEXPIRE', KEYS[5], ${ALERTS_MOST_MS})
  redis.call('ZADD', KEYS[6], 'NX', now, ARGV[3])
  redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -${ALERTS_MOST + 1})
  redis.call('PEXPIRE', KEYS[6], ${ALERTS_MOST_MS})
end
if ARGV[5] ~= '' then
  local open = redis.call('HGET', KEYS[3], ARGV[5])
  local known, new = open and cjson.decode(open), cjson.decode(ARGV[6])
  if not known or known['until'] ~= new['until'] or known.from <= new.from then
    redis.call('HSET', KEYS[3], ARGV[5], ARGV[6])
    redis.call('INCR', KEYS[4])
  end
end
return 'claimed'
`;

/**
 * Takes notices that are due, for the length of a lease, and writes down that their tries begin. Of what another gateway has taken and said nothing of
 * since, that one may have learnt the end while it could not say so: it has as long as it takes to be missed, once. What somebody put off is put back,
 * and what tells again of an alert that somebody answered is dropped.
 *
 * KEYS   1 the line of the channel, 2 by what they are about: until when nobody is told
 * ARGV   2 how many, beside those that were first tried together with the last of them, 3 what the keys of its waiting notices begin with, 4 what
 *        the keys of alerts begin with, 5 the gateway, 6 a name for what is taken now
 * Returns the end of the lease, and of each notice how often it was tried, the notice, and under what name it was taken first if it may have been told ('')
 */
export const TAKE = `${SHARED}
local lease, latest = now + ${LEASE_MS}, ''
local taken = { string.format('%.0f', lease) }
local function isAnswered(notice)
  local alert = redis.call('HMGET', ARGV[4] .. (notice.repeats or ''), 'answer')
  local answer = alert[1] and cjson.decode(alert[1])
  return answer and (answer.kind == 'acknowledged' or answer.at > notice.at)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 2 * ARGV[2])) do
  local key = ARGV[3] .. id
  local waiting = redis.call('HMGET', key, 'attempts', 'notice', 'after', 'doubt', 'taker')
  local doubt, taker = waiting[4] or '', waiting[5] or ''
  if #taken > 3 * ARGV[2] and (doubt == '' or doubt ~= latest) then break end
  if not waiting[2] then
    redis.call('ZREM', KEYS[1], id)
  elseif waiting[3] ~= '' and redis.call('EXISTS', ARGV[3] .. waiting[3]) == 1 then
    redis.call('ZADD', KEYS[1], now + ${AFTER_MS}, id)
  else
    local notice = cjson.decode(waiting[2])
    local snoozed = not notice.isOver and tonumber(redis.call('HGET', KEYS[2], notice.about) or 0) or 0
    if isAnswered(notice) then
      redis.call('ZREM', KEYS[1], id)
      redis.call('DEL', key)
    elseif snoozed > now then
      local later = notice.repeats and math.max(0, (notice.notBefore or 0) - notice.at) or 0
      redis.call('ZADD', KEYS[1], snoozed + later, id)
    elseif taker ~= '' and taker ~= ARGV[5] then
      redis.call('HDEL', key, 'taker')
      redis.call('ZADD', KEYS[1], now + ${GONE_AFTER_MS}, id)
    else
      redis.call('ZADD', KEYS[1], lease, id)
      redis.call('HSETNX', key, 'doubt', ARGV[6])
      redis.call('HSET', key, 'taker', ARGV[5])
      redis.call('HINCRBY', key, 'attempts', 1)
      taken[#taken + 1] = waiting[1]
      taken[#taken + 1] = waiting[2]
      taken[#taken + 1] = doubt
      latest = doubt
    end
  end
end
return taken
`;

/**
 * Writes down how a try ended, of all that one message told. What was delivered is gone, whoever delivered it; what failed is its taker's to put back,
 * while its lease lasts.
 *
 * KEYS   1 the line of the channel, 2 deliveries, 3… the notices as they wait
 * ARGV   2 the end of the lease, and of each notice from 3 on: its id, the delivery, delivered, given up, failed or in doubt, the pause in milliseconds
 */
export const TRIED = `${SHARED}
for i = 3, #KEYS do
  local id, delivery, ended, pause = unpack(ARGV, 4 * i - 9, 4 * i - 6)
  local isOwn = tonumber(redis.call('ZSCORE', KEYS[1], id) or 0) == tonumber(ARGV[2])
  if ended == 'delivered' or isOwn and ended == 'given up' then
    redis.call('ZREM', KEYS[1], id)
    redis.call('DEL', KEYS[i])
  elseif isOwn and redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('ZADD', KEYS[1], now + pause, id)
    redis.call('HDEL', KEYS[i], 'taker')
    if ended == 'failed' then redis.call('HDEL', KEYS[i], 'doubt') end
  end
  redis.call('LPUSH', KEYS[2], delivery)
end
redis.call('LTRIM', KEYS[2], 0, ${DELIVERIES_MOST - 1})
return 1
`;

/**
 * Writes down a try to deliver what never waited.
 *
 * KEYS   1 deliveries
 * ARGV   2 the delivery
 */
export const RECORD = `${SHARED}
redis.call('LPUSH', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[1], 0, ${DELIVERIES_MOST - 1})
return 1
`;

/**
 * Ends an incident, and has the notice of it wait.
 *
 * KEYS   1 the line of the channel, 2 the notice as it waits, 3 incidents, 4 how often incidents changed
 * ARGV   2 incident id, 3 the incident as it was seen, 4 id of the notice, 5 notice, 6 id of the notice that is delivered before it
 * Returns 1 where it was done, 0 where the incident is another one or has ended
 */
export const END = `${SHARED}
if redis.call('HGET', KEYS[3], ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('INCR', KEYS[4])
wait(KEYS[1], KEYS[2], ARGV[4], ARGV[5], ARGV[6])
return 1
`;

/**
 * Writes down what somebody said to an alert.
 *
 * KEYS   1 the alert, 2 by what they are about: until when nobody is told
 * ARGV   2 the answer, 3 what the alert is about, 4 until when nobody is told ('' where that is not put off)
 * Returns 1 where it was done, 0 where there is no such alert
 */
export const ANSWER = `${SHARED}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'answer', ARGV[2])
if ARGV[4] == '' then redis.call('HDEL', KEYS[2], ARGV[3]) else redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) end
redis.call('PEXPIRE', KEYS[2], ${ALERTS_MOST_MS})
return 1
`;

/**
 * Reads alerts, the newest first.
 *
 * KEYS   1 alerts
 * ARGV   2 how many at most, 3 what the keys of alerts begin with
 * Returns of each its names and values
 */
export const ALERTS = `${SHARED}
local found = {}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[2] - 1)) do found[#found + 1] = redis.call('HGETALL', ARGV[3] .. id) end
return found
`;

/**
 * Says that a gateway lives, and takes over what those have not written down that do not.
 *
 * KEYS   1 gateways: of each when it was heard of, and since when it may not have written down what it saw
 * ARGV   2 the gateway, 3 since when it looks at something again ('' where it does not)
 * Returns since when it may not have written down what it saw, and 1 where that is for another one
 */
export const BEAT = `${SHARED}
local since, isAdopted = tonumber(ARGV[3]) or now - ${WRITTEN_AFTER_MS}, '0'
local gateways = redis.call('HGETALL', KEYS[1])
for i = 1, #gateways, 2 do
  local heard, from = string.match(gateways[i + 1], '^(%d+) (%d+)$')
  if gateways[i] ~= ARGV[2] and tonumber(heard) < now - ${GONE_AFTER_MS} then
    since, isAdopted = math.min(since, tonumber(from)), '1'
    redis.call('HDEL', KEYS[1], gateways[i])
  end
end
redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f %.0f', now, since))
return { string.format('%.0f', since), isAdopted }
`;
