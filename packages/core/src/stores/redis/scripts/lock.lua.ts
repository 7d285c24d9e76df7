/**
 * Keeps a lock for longer, or gives it up, where it is still its holder's.
 *
 * KEYS   1 the lock
 * ARGV   1 the holder, 2 for how many milliseconds more, 0 to give it up
 * Returns 1 where it was done
 */
export const LOCK = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;
