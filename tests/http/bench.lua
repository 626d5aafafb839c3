-- What bench.sh asks for, and one line of JSON about it: wrk ... -s bench.lua URL -- NAME TOKEN EVENTS TYPE
local event = '{"action":"user.role.update","actor":{"type":"user","id":"user-42","name":"Zoe Ward"},' ..
  '"targets":[{"type":"User","id":"user-99","name":"Sam Hill"}],"outcome":"success","severity":"high",' ..
  '"tenant_id":"acme","correlation_id":"req-0af7651916cd43dd8448eb211c80319c",' ..
  '"source":{"service":"accounts","host":"app-3.example.com","ip":"192.0.2.7"},' ..
  '"changes":{"before":{"role":"viewer"},"after":{"role":"editor"}},' ..
  '"metadata":{"attempt":1,"ticket":"OPS-1234","text":"' .. string.rep("a", 90) .. '"}}'
local name, count

-- In the states of wrk's threads.
function init(args)
  wrk.headers["Authorization"] = "Bearer " .. args[2]
  local events = tonumber(args[3])
  if events == 0 then
    return
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[4]
  local all = {}
  for i = 1, events do
    all[i] = event
  end
  local is_lines = args[4] == "application/x-ndjson"
  wrk.body = is_lines and table.concat(all, "\n") or table.concat(all, ",")
  if not is_lines and events > 1 then
    wrk.body = "[" .. wrk.body .. "]"
  end
end

-- In a state of its own, which sees no arguments: setup() hands them over.
function setup(thread)
  name, count = os.getenv("BENCH_NAME"), tonumber(os.getenv("BENCH_EVENTS"))
end

function done(summary, latency, requests)
  local seconds = summary.duration / 1e6
  local errors = summary.errors
  io.write(string.format('{"bench":"%s","requests_per_s":%.0f,"events_per_s":%.0f,"p50_ms":%.2f,' ..
    '"p99_ms":%.2f,"max_ms":%.2f,"failed":%d}\n', name, summary.requests / seconds,
    summary.requests * count / seconds, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
