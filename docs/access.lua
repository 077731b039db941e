-- One access to the session KEYS[1]: counts in the field ARGV[2] and lets the
-- session live for ARGV[1] seconds from now. Answers with all fields, or with
-- nothing if there is no such session: an access never makes one.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return nil
end
redis.call('HINCRBY', KEYS[1], ARGV[2], 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
