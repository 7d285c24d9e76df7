/**
 * Writes down a refusal or an adjustment, once however often it is sent. What an adjustment holds must belong to a reservation in flight,
 * and what it charges to one that ended must belong to one whose charge can still be corrected.
 *
 * KEYS   7 the reservation, 8 the mark of this command
 * ARGV   6 kind, 7 id of the reservation, 8 postings, 9 detail as JSON or '', 10 the rest of the entry as JSON
 * Returns `recorded`, `ignored`, or `uncountable`, the counter and what was added
 */
export const RECORD = `
local RESERVATION, COMMAND = KEYS[7], KEYS[8]
local COMMAND_MS = 3600000
local regressed = refusal()
if regressed then return regressed end

if redis.call('EXISTS', COMMAND) == 1 then return answer('recorded') end
local kind, id, text = ARGV[6], ARGV[7], ARGV[8]
local postings = readPostings(text)
local hold = redis.call('HMGET', RESERVATION, 'state', 'postings', 'entries')
local held, charged = {}, {}
for _, posting in ipairs(postings) do
  if posting.held ~= 0 then held[#held + 1] = posting
  elseif posting.spent ~= 0 then charged[#charged + 1] = posting end
end
if #held > 0 and hold[1] ~= 'open' then return answer('ignored') end
if #charged > 0 and hold[1] == 'ended' then return answer('ignored') end
load(keysOf(postings))
for _, posting in ipairs(postings) do
  local uncounted = uncountable(posting, posting.spent + posting.held)
  if uncounted then return uncounted end
end
local broken = add({ kind = kind, reservation = id, postings = postings, text = text, detail = ARGV[9], body = ARGV[10] })
if broken then return broken end
redis.call('HSET', RESERVATION, 'entries', joined(hold[3], commit()))
if hold[1] == 'void' then redis.call('PERSIST', RESERVATION) end
if kind == 'adjusted' and #held > 0 then redis.call('HSET', RESERVATION, 'postings', hold[2] .. writePostings(held)) end
if kind == 'adjusted' and #charged > 0 and hold[1] == 'expired' then
  redis.call('HSET', RESERVATION, 'postings', hold[2] .. writePostings(charged))
end
redis.call('SET', COMMAND, '1', 'PX', COMMAND_MS)
return answer('recorded')
`;
