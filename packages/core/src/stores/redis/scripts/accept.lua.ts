/**
 * Goes on with what is left of a ledger that has lost acknowledged entries, because the operator says so, and writes that down. Nothing is
 * changed where nothing is known to be lost.
 *
 * KEYS   12 the reservation under which it is written down
 * ARGV   6 its id
 * Returns `accepted`, the last entry that was left, and how many entries were there at least; or `whole`
 */
export const ACCEPT = `
refusal()
if not fence then return answer('whole') end
local left, seen = textOf(seq), textOf(math.max(fence, seq))
epoch = math.max(epoch + 1, stamp)
add({
  kind = 'adjusted', reservation = ARGV[6], postings = {},
  body = '{"why":"loss accepted: of ' .. seen .. ' entries ' .. left .. ' were left"}',
})
local numbers = commit()
redis.call('HDEL', META, 'fence', 'restored')
redis.call('HSET', KEYS[12], 'entries', joined(redis.call('HGET', KEYS[12], 'entries'), numbers))
return answer('accepted', left, seen)
`;
