/**
 * Renews the lease of a hold, and never shortens it.
 *
 * KEYS   12 the reservation
 * ARGV   6 id, 7 lease in milliseconds
 * Returns `extended` and the expiry, or `unknown`
 */
export const EXTEND = `
local RESERVATION = KEYS[12]
local regressed = refusal()
if regressed then return regressed end

local id, leaseMs = ARGV[6], tonumber(ARGV[7])
local hold = redis.call('HMGET', RESERVATION, 'state', 'expiresAt', 'entries')
if hold[1] ~= 'open' then return answer('unknown') end
local expiresAt = textOf(math.max(tonumber(hold[2]), now + leaseMs))
add({ kind = 'extended', reservation = id, postings = {}, body = '{"expiresAt":' .. expiresAt .. '}' })
local numbers = commit()
redis.call('HSET', RESERVATION, 'expiresAt', expiresAt, 'entries', joined(hold[3], numbers))
redis.call('ZADD', LEASES, expiresAt, id)
return answer('extended', expiresAt)
`;
