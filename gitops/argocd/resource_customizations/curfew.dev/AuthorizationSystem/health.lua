-- Ready=False is Degraded with what to change. An object that is suspended on purpose is Suspended, and so is an assignment whose window
-- has passed, as it must: its file stays in Git until it is taken out.
local hs = {status = "Progressing", message = "not judged yet"}
local status = obj.status
if status == nil or status.observedGeneration == nil or status.conditions == nil then
  return hs
end
if status.observedGeneration ~= obj.metadata.generation then
  hs.message = "the last change is not judged yet"
  return hs
end
if obj.spec.suspend then
  hs.status = "Suspended"
  hs.message = "suspended: nothing new is granted"
  return hs
end
for _, condition in ipairs(status.conditions) do
  if condition.type == "Expired" and condition.status == "True" then
    return {status = "Suspended", message = condition.message}
  end
  if condition.type == "Ready" then
    hs.message = condition.message
    if condition.status == "True" then
      hs.status = "Healthy"
    elseif condition.status == "False" then
      hs.status = "Degraded"
      hs.message = condition.reason .. ": " .. condition.message
    end
  end
end
return hs
