/**
 * What a call used of a counter, for the scripts that settle: as its unit says, or by the weights that its window begins with, which go by the
 * kinds of tokens in the charge. `domain/weights.ts` says how tokens are weighed.
 */
export const WEIGHING = `
local COUNTS = { tokens = { input = true, output = true }, input_tokens = { input = true }, output_tokens = { output = true } }

local function weightsOf(ref)
  if not COUNTS[ref.unit] or not string.find(ref.head, '"(', 1, true) then return nil end
  return string.match(ref.head, '"%(([^()"]*)%) [^"]*"[,%d]*%]$')
end

local function countOf(number) return tonumber(number) or 0 end

-- In whole thousandths; the heaviest first. A part that counts as the rest of the total does is none.
local function weighed(plain, total, isUnsure, parts)
  table.sort(parts, function(one, other) return one.weight > other.weight end)
  local sum, left, most = 0, total, math.max(plain, parts[1].weight)
  for _, part in ipairs(parts) do
    if part.weight ~= plain and part.tokens > 0 then
      local tokens = math.min(left, part.tokens)
      sum, left = sum + tokens * part.weight, left - tokens
    end
  end
  return sum + left * (isUnsure and most or plain)
end

local function thousandths(said, counts, usage, isUnsure)
  local sum = 0
  if counts.input then
    local plain = said.input or 1000
    local write, hour = said.cache_write or plain, countOf(usage.cacheWrite1hInputTokens)
    sum = sum + weighed(plain, countOf(usage.inputTokens), isUnsure, {
      { weight = said.cache_read or plain, tokens = countOf(usage.cacheReadInputTokens) },
      { weight = write, tokens = countOf(usage.cacheWriteInputTokens) - hour },
      { weight = said.cache_write_1h or write, tokens = hour },
      { weight = said.audio_input or plain, tokens = countOf(usage.audioInputTokens) },
      { weight = said.image_input or plain, tokens = countOf(usage.imageInputTokens) },
    })
  end
  if counts.output then
    local plain = said.output or 1000
    sum = sum + weighed(plain, countOf(usage.outputTokens), isUnsure, {
      { weight = said.reasoning or plain, tokens = countOf(usage.reasoningOutputTokens) },
      { weight = said.audio_output or plain, tokens = countOf(usage.audioOutputTokens) },
      { weight = said.image_output or plain, tokens = countOf(usage.imageOutputTokens) },
    })
  end
  return sum + (usage.besides and thousandths(said, counts, usage.besides, isUnsure) or 0)
end

-- Of the amounts of each unit and the charge as JSON, which is read only where something is weighed.
local function usedOf(amounts, charge)
  local known
  return function(ref)
    local text = weightsOf(ref)
    if not text then return amounts[ref.unit] end
    known = known or cjson.decode(charge)
    local said = {}
    for kind, weight in string.gmatch(text, '([%w_]+) ([%d.]+)') do said[kind] = math.floor(weight * 1000 + 0.5) end
    return math.ceil(thousandths(said, COUNTS[ref.unit], known.usage, known.certainty == 'unconfirmed') / 1000)
  end
end
`;
