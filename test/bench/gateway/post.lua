-- wrk's script: POSTs of distinct JSON bodies to one path, each answer compared with what was asked, a JSON line at the end.
--
-- usage: wrk ... -s post.lua URL -- BODY_BYTES ANSWER_BEGINS
-- A body is {"p":"<text>"}; its answer is ANSWER_BEGINS, that text, "}. wrk does not say which connection an answer belongs
-- to, so what is checked is that each text asked for comes back, and comes back once: an answer that nobody waits for is
-- wrong. (That costs wrk a tenth more time per request.)

local MANY = 8192

local threads = {}
local requests, answers, open, asked = {}, {}, {}, 0
right, wrong = 0, 0 -- `done` reads them, from another state of Lua

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    local size, front = tonumber(args[1]) - #'{"p":""}', args[2]
    for number = 1, MANY do
        local text = string.format("%08d", number) .. string.rep("x", size - 8)
        -- gearmand takes two jobs with the same "unique" for one.
        local headers = { ["Content-Type"] = "application/json", ["X-Gearman-Unique"] = tostring(number) }
        requests[number] = wrk.format("POST", nil, headers, '{"p":"' .. text .. '"}')
        answers[number] = front .. text .. '"}'
    end
end

function request()
    asked = asked % MANY + 1
    local answer = answers[asked]
    open[answer] = (open[answer] or 0) + 1
    return requests[asked]
end

function response(status, headers, body)
    local waiting = open[body] or 0
    if status ~= 200 or waiting == 0 then
        wrong = wrong + 1
    else
        right = right + 1
        open[body] = waiting - 1
    end
end

function done(summary, latency)
    local right, wrong_ones = 0, 0
    for _, thread in ipairs(threads) do
        right = right + thread:get("right")
        wrong_ones = wrong_ones + thread:get("wrong")
    end
    local errors = summary.errors
    local line = '{"right": %d, "rate": %.1f, "p50_us": %d, "p99_us": %d, "p999_us": %d, "wrong": %d, "lost": %d}\n'
    io.write(string.format(line, right, right * 1e6 / summary.duration, latency:percentile(50), latency:percentile(99),
        latency:percentile(99.9), wrong_ones, errors.connect + errors.read + errors.write + errors.timeout))
end
