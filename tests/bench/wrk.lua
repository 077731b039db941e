-- Prints wrk's result as JSON. With arguments, each is a Cookie header, and requests take turns.
-- The environment variable PORTS names the servers among which the threads are divided.
local cookies = {}
local turn = 0

local threads = 0

function setup(thread)
  local ports = {}
  for port in os.getenv("PORTS"):gmatch("%d+") do
    ports[#ports + 1] = port
  end
  thread.addr = wrk.lookup("127.0.0.1", ports[threads % #ports + 1])[1]
  threads = threads + 1
end

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
