import { ENDING } from "./ending.lua.ts";

/**
 * Returns a hold whose call was never sent, or cost nothing; with an attempt, only the hold that this attempt to reserve made.
 *
 * KEYS   12 the reservation, 13 what it holds
 * ARGV   6 id, 7 why as JSON, 8 attempt or '', 9 the charge of nothing as JSON
 * Returns `released`, `corrected`, `duplicate` or `unknown`
 */
export const RELEASE = `
local regressed = refusal()
if regressed then return regressed end
${ENDING}
local id, why, attempt, nothing = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
if attempt ~= '' and hold.state and (hold.state ~= 'open' or hold.attempt ~= attempt) then return answer('unknown') end
if hold.state ~= 'open' then return correct(id, function() return 0 end, nothing, true) end

load(hold.postings)
local postings = {}
for i, posting in ipairs(hold.postings) do
  postings[i] = posted(posting, 0 - posting.held, 0)
end
local broken = add({ kind = 'released', reservation = id, postings = postings, detail = hold.detail, body = '{"why":' .. why .. '}' })
if broken then return broken end
finish(id)
return answer('released')
`;
