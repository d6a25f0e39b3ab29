-- A decision that does not count is Degraded with the reason. One that waits for an earlier stage is Healthy: people come first.
local hs = {status = "Progressing", message = "not judged yet"}
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Counted" then
    hs.message = condition.message
    if condition.status == "False" then
      hs.status = "Degraded"
      hs.message = condition.reason .. ": " .. condition.message
    else
      hs.status = "Healthy"
    end
  end
end
return hs
