-- Say of some students whether they have data: a consent record is kept while they have, or a retention after its last decision.
--
-- KEYS[…]    the records: JSON arrays of decisions (consent.py), or nothing
-- ARGV[1]    the retention in seconds
-- ARGV[2]    the time, Unix time in milliseconds
-- ARGV[i+2]  1 if the student of KEYS[i] has data, else 0
--
-- Returns nothing. A record that cannot be read keeps its expiry.

for i, key in ipairs(KEYS) do
  if ARGV[i + 2] == '1' then
    redis.call('EXPIRE', key, ARGV[1])
  else
    local record = redis.call('GET', key)
    local is_read, history = pcall(cjson.decode, record or '[]')
    if is_read and history[1] then
      local age = (ARGV[2] - history[#history][3]) / 1000
      redis.call('EXPIRE', key, math.ceil(ARGV[1] - age))  -- deletes it if that is in the past
    end
  end
end
