-- The requests that wrk sends. Arguments: the workload, the number of users, a file
-- with e-mail addresses of the first half of the users, and a tag that makes the
-- addresses of this run unique.

local JSON = { ["Content-Type"] = "application/json" }
local GZIP = { ["Accept-Encoding"] = "gzip" }
local workloads = {}
local emails = {}
local users, tag, workload
local posts = 0

local function body(email)
  return string.format('{"username": "bench %d", "email": "%s"}', math.random(1e9), email)
end

function workloads.ping()
  return wrk.format("GET", "/ping")
end

function workloads.one()
  return wrk.format("GET", "/users/" .. math.random(users))
end

function workloads.page()
  return wrk.format("GET", "/users?limit=100&after=" .. math.random(0, users - 100))
end

function workloads.email()
  return wrk.format("GET", "/users?email=" .. emails[math.random(#emails)])
end

function workloads.post()
  posts = posts + 1
  local email = tag .. "." .. posts .. "@example.com"
  return wrk.format("POST", "/users", JSON, body(email))
end

function workloads.put()
  -- The first half of the users keep their addresses, which `email` requests.
  local id = math.random(math.floor(users / 2) + 1, users)
  local email = "put." .. tag .. "." .. id .. "@example.com"
  return wrk.format("PUT", "/users/" .. id, JSON, body(email))
end

-- Queries of `GET /users`. All pages have up to 100 users.

local function query(parameters, headers)
  return wrk.format("GET", "/users?" .. parameters, headers)
end

local function position()
  return "&after=" .. math.random(0, users - 100)
end

-- The username is the address up to the at-sign, in another case.
local function username()
  return emails[math.random(#emails)]:match("^[^@]*")
end

function workloads.compressed() return query("limit=100" .. position(), GZIP) end

function workloads.ids()
  local ids = {}
  for place = 1, 100 do
    ids[place] = math.random(users)
  end
  return query("id=" .. table.concat(ids, ","))
end

function workloads.username() return query("username=" .. username()) end
function workloads.inactive() return query("active=false" .. position()) end
function workloads.newest() return query("order=desc" .. position()) end
function workloads.period()
  return query("created_after=2000-01-01T00:00:00Z&created_before=2100-01-01T00:00:00Z" .. position())
end
function workloads.search() return query("search=" .. username()) end
-- 0.04 % and 2 % of the users.
function workloads.search_two_words() return query("search=ada+lovelace") end
function workloads.search_one_word() return query("search=lovelace") end
function workloads.all_filters()
  local email = emails[math.random(#emails)]
  return query("email=" .. email .. "&username=" .. email:match("^[^@]*")
    .. "&search=example&active=true&created_after=2000-01-01T00:00:00Z&order=desc")
end
function workloads.estimated() return query("count=estimated" .. position()) end
function workloads.exact() return query("count=exact" .. position()) end

-- 90 % reads.
function workloads.mix()
  local chance = math.random(100)
  if chance <= 70 then return workloads.one() end
  if chance <= 80 then return workloads.email() end
  if chance <= 90 then return workloads.page() end
  if chance <= 95 then return workloads.post() end
  return workloads.put()
end

function init(arguments)
  workload, users, tag = arguments[1], tonumber(arguments[2]), arguments[4]
  -- Seed by the tag: other users in each round, the same ones in each run.
  local seed = 0
  for place = 1, #tag do
    seed = (seed * 31 + tag:byte(place)) % 2 ^ 31
  end
  math.randomseed(seed)
  -- wrk replaces its own headers by those of a request.
  for name, value in pairs(wrk.headers) do
    JSON[name] = value
  end
  for email in io.lines(arguments[3]) do
    emails[#emails + 1] = email
  end
end

function request()
  return workloads[workload]()
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
