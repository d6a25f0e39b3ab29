-- Degraded: access that its target does not take or does not let go of. Progressing: on its way to or from the target.
local hs = {status = "Progressing", message = "not judged yet"}
local status = obj.status
if status == nil or status.state == nil then
  return hs
end
if status.observedGeneration ~= obj.metadata.generation then
  hs.message = "the last change is not judged yet"
  return hs
end
hs.message = status.state
if status.state == "Ended" or status.state == "Abandoned" then
  hs.status = "Healthy"
  return hs
end
if status.lastError ~= nil and status.lastError ~= "" then
  return {status = "Degraded", message = status.state .. ": " .. status.lastError}
end
for _, condition in ipairs(status.conditions or {}) do
  local wrong = condition.status == "False" and (condition.type == "Revocable" or condition.type == "Effective")
  if wrong or (condition.status == "True" and (condition.type == "Partial" or condition.type == "Refused")) then
    return {status = "Degraded", message = condition.type .. ": " .. condition.message}
  end
end
if status.state == "Active" then
  hs.status = "Healthy"
end
return hs
