-- wrk: authenticated reads of the patients CLINICQ_FIRST and the CLINICQ_SPAN after it.
local requests = {}
local next_one = 0

function init()
    local headers = {["Authorization"] = "Token " .. os.getenv("CLINICQ_TOKEN")}
    local first, span = tonumber(os.getenv("CLINICQ_FIRST")), tonumber(os.getenv("CLINICQ_SPAN"))
    math.randomseed(os.time())
    for i = 1, span do
        local serial = string.format("%07d", first + math.random(0, span - 1))
        local number = serial:sub(1, 2) .. "-" .. serial:sub(3, 4) .. "-" .. serial:sub(5)
        requests[i] = wrk.format("GET", "/api/patients/" .. number .. "/", headers)
    end
end

function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end
