-- Only what runs can be revoked. A decision cannot be taken back.
local running = {Scheduled = true, Activating = true, Active = true}
local state = obj.status ~= nil and obj.status.state or "Pending"
local actions = {}
actions["revoke"] = {disabled = running[state] == nil, displayName = "Revoke access"}
return actions
