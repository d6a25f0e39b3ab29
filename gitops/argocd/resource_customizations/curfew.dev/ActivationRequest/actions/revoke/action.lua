-- Creates a decision Revoke. Argo CD creates it with its own service account, or with that of the project where sync impersonation
-- is on: that account needs the right to create AccessDecisions and counts only if it is a manager (docs/gitops.md). One name for each
-- request, so that a second click changes nothing.
local decision = {}
decision.apiVersion = "curfew.dev/v1alpha1"
decision.kind = "AccessDecision"
decision.metadata = {name = "argocd-revoke-" .. obj.metadata.uid, namespace = obj.metadata.namespace}
decision.spec = {
  about = {activationRequest = {name = obj.metadata.name, uid = obj.metadata.uid}},
  decision = "Revoke",
  comment = "revoked in Argo CD"
}
return {{operation = "create", resource = decision}}
