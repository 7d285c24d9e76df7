import { ENDING } from "./ending.lua.ts";
import { WEIGHING } from "./weighing.lua.ts";

/**
 * Replaces a hold by what was used; corrects the charge of a hold that expired.
 *
 * KEYS   12 the reservation, 13 what it holds
 * ARGV   6 id, 7 charge as JSON, 8 '1' where the amounts are whole numbers of 0 or more, 9 `unit=amount;` of each
 * Returns `settled`, `corrected`, `duplicate`, `unknown`, `invalid`, or `uncountable`, the counter and what was added
 */
export const SETTLE = `
local regressed = refusal()
if regressed then return regressed end
${ENDING}
${WEIGHING}
local id, charge, isValid = ARGV[6], ARGV[7], ARGV[8] == '1'
local amounts = {}
for unit, amount in string.gmatch(ARGV[9], '([^=]*)=([^;]*);') do amounts[unit] = tonumber(amount) end
local used = usedOf(amounts, charge)
if hold.state ~= 'open' then return correct(id, used, charge, isValid) end
if not isValid then return answer('invalid') end

load(hold.postings)
local settled, overrun = {}, {}
for i, posting in ipairs(hold.postings) do
  local amount = used(posting)
  settled[i] = posted(posting, 0 - posting.held, math.min(amount, posting.held))
  if amount > posting.held then
    local uncounted = uncountable(posting, counters[posting.key], amount - posting.held)
    if uncounted then return uncounted end
    overrun[#overrun + 1] = posted(posting, 0, amount - posting.held)
  end
end
local body = '{"charge":' .. charge .. '}'
local broken = add({ kind = 'settled', reservation = id, postings = settled, detail = hold.detail, body = body })
if not broken and #overrun > 0 then
  broken = add({ kind = 'overrun', reservation = id, postings = overrun, detail = hold.detail, body = body })
end
if broken then return broken end
finish(id)
return answer('settled')
`;
