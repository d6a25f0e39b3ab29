-- As of an ActivationRequest: one that waits for people is Healthy, and so is one that has ended, regardless of its outcome.
local hs = {status = "Progressing", message = "not judged yet"}
local status = obj.status
if status == nil or status.observedGeneration == nil or status.state == nil then
  return hs
end
if status.observedGeneration ~= obj.metadata.generation then
  hs.message = "the last change is not judged yet"
  return hs
end
hs.message = status.state
if status.message ~= nil and status.message ~= "" then
  hs.message = status.state .. ": " .. status.message
end
if status.state ~= "Pending" then
  hs.status = "Healthy"
end
return hs
