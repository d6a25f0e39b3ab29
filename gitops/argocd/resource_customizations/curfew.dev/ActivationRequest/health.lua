-- A request that waits for people or for its start is Healthy: a sync must not wait for them. One that has ended is Healthy, regardless of its
-- outcome: a decision of people is not a failure of the sync. Degraded is access that is past its end and not proven gone.
local hs = {status = "Progressing", message = "not judged yet"}
local status = obj.status
if status == nil or status.observedGeneration == nil or status.state == nil then
  return hs
end
if status.observedGeneration ~= obj.metadata.generation then
  hs.message = "the last change is not judged yet"
  return hs
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" then
    return {status = "Degraded", message = condition.message}
  end
end
hs.message = status.state
if status.message ~= nil and status.message ~= "" then
  hs.message = status.state .. ": " .. status.message
end
if status.state ~= "Pending" and status.state ~= "Activating" and status.state ~= "Revoking" then
  hs.status = "Healthy"
end
return hs
