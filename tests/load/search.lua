-- wrk: searches by a part of a name, the lines of the file CLINICQ_TERMS.
local requests = {}
local next_one = 0

function init()
    local headers = {["Authorization"] = "Token " .. os.getenv("CLINICQ_TOKEN")}
    for term in io.lines(os.getenv("CLINICQ_TERMS")) do
        requests[#requests + 1] = wrk.format("GET", "/api/patients/search/?q=" .. term:gsub(" ", "+"), headers)
    end
end

function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end
