-- Prints wrk's result as JSON. With arguments, each is a Cookie header, and requests take turns.
-- The environment variable PORTS names the servers among which the threads are divided; with BROWSER, requests have the twelve
-- headers of a browser instead of two.
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

local function add_headers_of_a_browser()
  wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
  wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
  wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
  wrk.headers["Accept-Language"] = "en-GB,en;q=0.9"
  wrk.headers["Connection"] = "keep-alive"
  wrk.headers["Sec-Fetch-Dest"] = "document"
  wrk.headers["Sec-Fetch-Mode"] = "navigate"
  wrk.headers["Sec-Fetch-Site"] = "same-origin"
  wrk.headers["Sec-Fetch-User"] = "?1"
  wrk.headers["Upgrade-Insecure-Requests"] = "1"
end

function init(arguments)
  if os.getenv("BROWSER") then
    add_headers_of_a_browser()
  end
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
