import { GRANTING } from "./granting.lua.ts";

/**
 * Writes down a refusal, an answer that was known, an adjustment, a grant or its end, once however often it is sent. What an adjustment holds must belong to a
 * reservation in flight that is held for the same answer, and what it charges to one that ended to one whose charge can still be corrected, each on
 * a counter that it is not posted to yet. Limits come into force only after those that they follow. A grant that begins must not be there yet, and one that ends
 * must. A reset takes back what is spent at this moment.
 *
 * KEYS   12 the reservation, 13 what it holds, 14 the mark of this command
 * ARGV   6 kind, 7 id of the reservation, 8 postings, 9 detail as JSON or '', 10 the rest of the entry as JSON, 11 '1' for a reset,
 *        12 series and 13 text of a grant, 14 the entry that limits follow which come into force ('any' or a number), or '',
 *        15 the output cap for which an adjustment holds something of a call, or ''
 * Returns `recorded`, `ignored`, or `uncountable`, the counter and what was added
 */
export const RECORD = `
local RESERVATION, HOLD, COMMAND = KEYS[12], KEYS[13], KEYS[14]
local COMMAND_MS = 3600000
local regressed = refusal()
if regressed then return regressed end
${GRANTING}
if redis.call('EXISTS', COMMAND) == 1 then return answer('recorded') end
local kind, id, text, isReset = ARGV[6], ARGV[7], ARGV[8], ARGV[11] == '1'
local postings = readPostings(text)
local hold = redis.call('HMGET', RESERVATION, 'state', 'entries', 'outputCap')
local isCall = (hold[1] == 'open' or hold[1] == 'expired') and kind == 'adjusted'
load(postings)
if kind == 'granted' or kind == 'revoked' then
  if isGranted(ARGV[12], ARGV[13]) ~= (kind == 'revoked') then return answer('ignored') end
elseif isReset then
  local spent = {}
  for _, posting in ipairs(postings) do
    local counter = counters[posting.key]
    if counter.spent ~= 0 then spent[#spent + 1] = posted(posting, 0, 0 - counter.spent) end
  end
  postings, text = spent, writePostings(spent)
else
  local follows = tonumber(ARGV[14])
  if follows and follows ~= tonumber(redis.call('HGET', META, 'adopted') or follows) then return answer('ignored') end
  if hold[1] == 'open' and ARGV[15] ~= '' and tonumber(ARGV[15]) ~= tonumber(hold[3]) then return answer('ignored') end
  local known = {}
  if isCall then
    for _, posting in ipairs(readHold(redis.call('GET', HOLD)).postings) do known[posting.key] = true end
  end
  local fresh = {}
  for _, posting in ipairs(postings) do if not known[posting.key] then fresh[#fresh + 1] = posting end end
  if #fresh == 0 and #postings > 0 then return answer('ignored') end
  if #fresh < #postings then postings, text = fresh, writePostings(fresh) end
  if kind == 'adjusted' and hold[1] == 'ended' then return answer('ignored') end
  for _, posting in ipairs(postings) do
    if posting.held ~= 0 and hold[1] ~= 'open' then return answer('ignored') end
  end
end
for _, posting in ipairs(postings) do
  local uncounted = uncountable(posting, counters[posting.key], posting.spent + posting.held)
  if uncounted then return uncounted end
end
local broken = add({ kind = kind, reservation = id, postings = postings, text = text, detail = ARGV[9], body = ARGV[10] })
if broken then return broken end
local numbers = commit()
-- What belongs to no reservation is found by reading on: its numbers would have no end.
if id ~= '' then redis.call('HSET', RESERVATION, 'entries', joined(hold[2], numbers)) end
if hold[1] == 'void' then redis.call('PERSIST', RESERVATION) end
if isCall then redis.call('APPEND', HOLD, text) end
if ARGV[14] ~= '' then redis.call('HSET', META, 'adopted', numbers[1]) end
if kind == 'granted' then grant(ARGV[12], ARGV[13]) end
if kind == 'revoked' then revoke(ARGV[12], ARGV[13]) end
redis.call('SET', COMMAND, '1', 'PX', COMMAND_MS)
return answer('recorded')
`;
