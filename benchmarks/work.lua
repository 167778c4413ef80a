-- The requests that wrk makes. Arguments: the work, the number of users, a file with
-- addresses of the first half, and a tag that makes the addresses of this run its own.

local JSON = { ["Content-Type"] = "application/json" }
local works = {}
local emails = {}
local users, tag, work
local posted = 0

local function body(email)
  return string.format('{"username": "bench %d", "email": "%s"}', math.random(1e9), email)
end

function works.one()
  return wrk.format("GET", "/users/" .. math.random(users))
end

function works.page()
  return wrk.format("GET", "/users?limit=100&after=" .. math.random(0, users - 100))
end

function works.email()
  return wrk.format("GET", "/users?email=" .. emails[math.random(#emails)])
end

function works.post()
  posted = posted + 1
  local email = tag .. "." .. posted .. "@example.com"
  return wrk.format("POST", "/users", JSON, body(email))
end

function works.put()
  -- The first half of them keep their addresses: others look for them.
  local id = math.random(math.floor(users / 2) + 1, users)
  local email = "put." .. tag .. "." .. id .. "@example.com"
  return wrk.format("PUT", "/users/" .. id, JSON, body(email))
end

-- Nine of ten read.
function works.mix()
  local chance = math.random(100)
  if chance <= 70 then return works.one() end
  if chance <= 80 then return works.email() end
  if chance <= 90 then return works.page() end
  if chance <= 95 then return works.post() end
  return works.put()
end

function init(arguments)
  work, users, tag = arguments[1], tonumber(arguments[2]), arguments[4]
  -- Other users in each turn, the same ones in each run.
  local seed = 0
  for place = 1, #tag do
    seed = (seed * 31 + tag:byte(place)) % 2 ^ 31
  end
  math.randomseed(seed)
  for email in io.lines(arguments[3]) do
    emails[#emails + 1] = email
  end
end

function request()
  return works[work]()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "errors": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
