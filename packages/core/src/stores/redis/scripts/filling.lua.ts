/** What is in a bucket: what flowed in with its slices, less what drained since. */
export const FILLING = `
local function spentOf(slice) return slice.spent end
local function reservedOf(slice) return slice.spent + slice.held end

-- Whole units that drain in a time, in parts that are each counted exactly.
local function drained(rule, time)
  if time <= 0 then return 0 end
  local rest = math.fmod(time, rule.period)
  local periods = (time - rest) / rule.period
  local low = math.fmod(rule.drains, rule.period)
  local high = (rule.drains - low) / rule.period
  local part = low * rest
  return math.min(SAFE_MOST, periods * rule.drains + high * rest + (part - math.fmod(part, rule.period)) / rule.period)
end

-- What flowed into a bucket since it was last empty, each slice at its end or at the latest time, and since when.
local function filled(rule, slices, latestAt, inflow)
  local total, since = 0, 0
  for _, slice in ipairs(slices) do
    local at = math.min(slice.startsAt + rule.slice, latestAt)
    if total <= drained(rule, at - since) then total, since = 0, at end
    total = total + inflow(slice)
  end
  return total, since
end

local function levelAt(rule, slices, at, inflow)
  local total, since = filled(rule, slices, at, inflow)
  return math.max(0, total - drained(rule, at - since))
end
`;
