/**
 * How grants are kept: by the series that they add to, one on a line, `id, amount, from, until, grant as JSON, until when it is kept`.
 */
export const GRANTING = String.raw`
local function linesOf(name, text)
  local id = string.match(text, '^[^\t]*')
  local others, isThere = {}, false
  for line in string.gmatch(redis.call('HGET', GRANTS, name) or '', '[^\n]*\n') do
    if string.match(line, '^[^\t]*') == id then isThere = true else others[#others + 1] = line end
  end
  return isThere, others
end

local function isGranted(name, text)
  local isThere = linesOf(name, text)
  return isThere
end

local function grant(name, text)
  redis.call('HSET', GRANTS, name, (redis.call('HGET', GRANTS, name) or '') .. text .. '\n')
  redis.call('HSET', META, 'granted', '1')
  redis.call('ZADD', CLOSING, 'LT', string.match(text, '%d+$'), 'g' .. name)
end

local function revoke(name, text)
  local _, others = linesOf(name, text)
  if #others > 0 then redis.call('HSET', GRANTS, name, table.concat(others))
  else
    redis.call('HDEL', GRANTS, name)
    redis.call('ZREM', CLOSING, 'g' .. name)
  end
end
`;
