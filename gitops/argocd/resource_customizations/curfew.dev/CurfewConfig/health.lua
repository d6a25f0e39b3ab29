-- Each condition that is False is Degraded: nothing new is granted meanwhile, and access still ends.
local hs = {status = "Progressing", message = "not judged yet"}
local status = obj.status
if status == nil or status.observedGeneration == nil or status.conditions == nil then
  return hs
end
if status.observedGeneration ~= obj.metadata.generation then
  hs.message = "the last change is not judged yet"
  return hs
end
local enforced = false
for _, condition in ipairs(status.conditions) do
  if condition.status == "False" then
    return {status = "Degraded", message = condition.type .. ": " .. condition.message}
  end
  if condition.type == "AdmissionEnforced" and condition.status == "True" then
    enforced = true
  end
end
if enforced then
  hs.status = "Healthy"
  hs.message = "the admission policies are in force"
end
return hs
