-- Prints wrk's result as JSON. With arguments, each is a Cookie header, and requests take turns.
local cookies = {}
local turn = 0

function init(arguments)
  for i = 1, #arguments do
    cookies[i] = wrk.format("GET", nil, { Cookie = arguments[i] })
  end
  if #cookies > 1 then
    request = function()
      turn = turn % #cookies + 1
      return cookies[turn]
    end
  elseif #cookies == 1 then
    wrk.headers["Cookie"] = arguments[1]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "bad_status": %d, "socket_errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
