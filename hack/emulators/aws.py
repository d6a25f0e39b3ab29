"""MiniStack with IAM enforced, corrected where it answers otherwise than AWS.

usage: PORT=4566 python aws.py

It listens on loopback only. Each account is separate; the access key that is an account's id, with the secret "test", is that
account's root. docs/providers/aws-emulators.md lists every correction with the AWS page that it follows.

Two things are for tests alone:
  header x-emulator-lag: MS     reads and authorization of this request see IAM as it was MS milliseconds ago
  POST /_emulator/aws-managed   {"name", "document"}: AWS publishes a new default version of one of its own policies
"""
import contextlib
import contextvars
import copy
import json
import os
import re
import sys
import time
from urllib.parse import parse_qs

os.environ["AUTH"] = "true"
os.environ["BIND_HOST"] = "127.0.0.1"
os.environ["GATEWAY_PORT"] = os.environ["PORT"]
# Listeners of services that are not used, and the search for containers of earlier runs.
os.environ.update(SFTP_ENABLED="0", IOT_MTLS_ENABLED="0", DOCKER_HOST="unix:///nonexistent")

from ministack import app as ministack  # noqa: E402
from ministack.core import iam_actions, iam_evaluator  # noqa: E402
from ministack.core.responses import get_account_id, get_region  # noqa: E402
from ministack.services import iam, sts  # noqa: E402

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ATTACHED_POLICIES, POLICY_SIZE, POLICIES = 10, 6_144, 1_500
TRUST_SIZE, USER_INLINE_SIZE, ROLE_INLINE_SIZE = 2_048, 2_048, 10_240


def refused(status, code, message):
    return iam._error(status, code, message, ns="iam")


def limit(quota, value):
    return refused(409, "LimitExceeded", f"Cannot exceed quota for {quota}: {value}")


def size(document):
    """Characters that count: white space does not."""
    return len(re.sub(r"\s", "", document or ""))


def guarded(action):
    """The function judges a call before MiniStack carries it out, and answers it if AWS would refuse it."""
    def wrap(judge):
        handler = iam._IAM_HANDLERS[action]
        iam._IAM_HANDLERS[action] = lambda p: judge(lambda key: iam._p(p, key), p) or handler(p)
        return judge
    return wrap


# -- Objects that are not there, and quotas ---------------------------------------------------------------------------------

def attach(kind, store, quota):
    @guarded(f"Attach{kind}Policy")
    def judge(arg, _):
        arn, entity = arg("PolicyArn"), store.get(arg(f"{kind}Name"))
        if entity is None:
            return None
        # https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html: NoSuchEntity
        if not iam._policy_exists(arn):
            return refused(404, "NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
        if arn not in entity["AttachedPolicies"] and len(entity["AttachedPolicies"]) >= ATTACHED_POLICIES:
            return limit(quota, ATTACHED_POLICIES)
        return None


attach("User", iam._users, "PoliciesPerUser")
attach("Role", iam._roles, "PoliciesPerRole")
attach("Group", iam._groups, "PoliciesPerGroup")


@guarded("CreatePolicy")
def create_policy(arg, _):
    if size(arg("PolicyDocument")) > POLICY_SIZE:
        return limit("PolicySize", POLICY_SIZE)
    # Names are unique within the account, whichever path they are under.
    if any(p["PolicyName"] == arg("PolicyName") for p in iam._policies.values()):
        return refused(409, "EntityAlreadyExists", f"A policy called {arg('PolicyName')} already exists. Duplicate names are not allowed.")
    return limit("Policies", POLICIES) if len(iam._policies) >= POLICIES else None


@guarded("CreatePolicyVersion")
def create_policy_version(arg, _):
    return limit("PolicySize", POLICY_SIZE) if size(arg("PolicyDocument")) > POLICY_SIZE else None


@guarded("DeletePolicy")
def delete_policy(arg, _):
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html: delete all versions but the default one first.
    if len((iam._policies.get(arg("PolicyArn")) or {}).get("Versions", {})) > 1:
        return refused(409, "DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the "
                                              "policy's versions. The default version is deleted with the policy.")
    return None


@guarded("PutUserPolicy")
def put_user_policy(arg, _):
    held = {**(iam._user_inline_policies.get(arg("UserName")) or {}), arg("PolicyName"): arg("PolicyDocument")}
    if sum(map(size, held.values())) > USER_INLINE_SIZE:
        return refused(409, "LimitExceeded", f"Maximum policy size of {USER_INLINE_SIZE} bytes exceeded for user {arg('UserName')}")
    return None


@guarded("PutRolePolicy")
def put_role_policy(arg, _):
    held = {**(iam._roles.get(arg("RoleName")) or {}).get("InlinePolicies", {}), arg("PolicyName"): arg("PolicyDocument")}
    if sum(map(size, held.values())) > ROLE_INLINE_SIZE:
        return refused(409, "LimitExceeded", f"Maximum policy size of {ROLE_INLINE_SIZE} bytes exceeded for role {arg('RoleName')}")
    return None


@guarded("DeleteUser")
def delete_user(arg, _):
    if iam._user_inline_policies.get(arg("UserName")):
        return refused(409, "DeleteConflict", "Cannot delete entity, must delete policies first.")
    return None


# -- Trust policies -----------------------------------------------------------------------------------------------------------

def trust(document):
    """What AWS refuses of a trust policy: too long, or a principal that does not exist."""
    if size(document) > TRUST_SIZE:
        return limit("ACLSizePerRole", TRUST_SIZE)
    try:
        statements = json.loads(document).get("Statement", [])
    except (json.JSONDecodeError, AttributeError):
        return refused(400, "MalformedPolicyDocument", "This policy contains invalid Json")
    for statement in statements if isinstance(statements, list) else [statements]:
        named = statement.get("Principal")
        if named is None:
            return refused(400, "MalformedPolicyDocument", "Missing required field Principal")
        named = named.get("AWS", []) if isinstance(named, dict) else []
        for arn in [named] if isinstance(named, str) else named:
            found = re.fullmatch(r"arn:aws:iam::(\d{12}):(user|role)/(?:.*/)?([^/]+)", arn)
            if found:
                account, kind, name = found.groups()
                entity = (iam._users if kind == "user" else iam._roles).get_scoped(account, None, name)
                if entity is None or entity["Arn"] != arn:
                    return refused(400, "MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{arn}"')
            elif not re.fullmatch(r"\*|\d{12}|arn:aws:iam::\d{12}:root|arn:aws:sts::\d{12}:assumed-role/.*", arn):
                return refused(400, "MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{arn}"')
    return None


@guarded("CreateRole")
def create_role(arg, _):
    seconds = arg("MaxSessionDuration")
    if seconds and not 3_600 <= int(seconds) <= 43_200:
        return refused(400, "ValidationError", f"Value '{seconds}' at 'maxSessionDuration' must be between 3600 and 43200")
    return trust(arg("AssumeRolePolicyDocument"))


@guarded("UpdateAssumeRolePolicy")
def update_assume_role_policy(arg, _):
    return trust(arg("PolicyDocument"))


# -- AssumeRole: length of a session, source identity -------------------------------------------------------------------------

_source = contextvars.ContextVar("source_identity", default=None)
_evaluate_trust, _register, _principal_keys = iam_evaluator.evaluate_trust_policy, sts.register_session, iam_evaluator._principal_keys


def evaluate_trust_policy(document, caller, ctx=None):
    """With sts:SourceIdentity, and sts:SetSourceIdentity allowed if one is set."""
    source = _source.get()
    if ctx is None or not source:
        return _evaluate_trust(document, caller, ctx)
    ctx = copy.copy(ctx)
    ctx.service_context = {**ctx.service_context, "sts:sourceidentity": source}
    if not _evaluate_trust(document, caller, ctx):
        return False
    setting = copy.copy(ctx)
    setting.action = "sts:SetSourceIdentity"
    return ctx.action != "sts:AssumeRole" or _evaluate_trust(document, caller, setting)


def register_session(key, session):
    if _source.get():
        session["SourceIdentity"] = _source.get()
    _register(key, session)


def principal_keys(credential):
    keys = _principal_keys(credential)
    source = (sts._sessions.get(credential.access_key_id) or {}).get("SourceIdentity")
    return {**keys, "aws:sourceidentity": source} if source else keys


iam_evaluator.evaluate_trust_policy = evaluate_trust_policy
iam_evaluator._principal_keys = principal_keys
sts.register_session = register_session


def session_refused(arg):
    """A session that is longer than the role or the chaining of roles allows."""
    seconds = int(arg("DurationSeconds") or 3_600)
    parts = arg("RoleArn").split(":")
    role = iam._roles.get_scoped(parts[4], None, parts[5].rsplit("/", 1)[-1]) if len(parts) == 6 else None
    if not 900 <= seconds <= 43_200:
        return f"Value '{seconds}' at 'durationSeconds' must be between 900 and 43200"
    if role and seconds > role.get("MaxSessionDuration", 3_600):
        return "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    return None


# -- What a policy of the operator is checked against ---------------------------------------------------------------------------

_resource_arn, _tag_context = iam_actions.extract_resource_arn, iam_actions.request_tag_context


def extract_resource_arn(service, method, path, headers, body, params, region, account):
    """The ARN with its path. MiniStack leaves the path out, and CreatePolicy has no resource at all."""
    def arg(key):
        return iam_actions._query_param(params, key)
    if service == "iam":
        if arg("PolicySourceArn"):
            return arg("PolicySourceArn")
        for key, kind, store in (("RoleName", "role", iam._roles), ("UserName", "user", iam._users), ("GroupName", "group", iam._groups)):
            name = arg(key)
            if name:
                return (store.get(name) or {}).get("Arn") or f"arn:aws:iam::{account}:{kind}{arg('Path') or '/'}{name}"
        if arg("PolicyName") and arg("PolicyDocument"):
            return f"arn:aws:iam::{account}:policy{arg('Path') or '/'}{arg('PolicyName')}"
    return _resource_arn(service, method, path, headers, body, params, region, account)


def request_context(service, action, body, params):
    """iam:PolicyARN and iam:PermissionsBoundary, which MiniStack does not know."""
    context = dict(_tag_context(service, action, body, params))
    if service == "iam":
        for parameter, key in (("PolicyArn", "iam:PolicyARN"), ("PermissionsBoundary", "iam:PermissionsBoundary")):
            value = iam_actions._query_param(params, parameter)
            if value and (action.startswith(("iam:Attach", "iam:Detach")) or parameter != "PolicyArn"):
                context[key] = value
    return context


iam_actions.extract_resource_arn = extract_resource_arn
iam_actions.request_tag_context = request_context


# -- SimulatePrincipalPolicy: with context, boundary, paths and several resources ----------------------------------------------------

_simulated = contextvars.ContextVar("simulated", default={})
_resolve = iam_evaluator._resolve_condition_key


def resolve_condition_key(key, ctx):
    return _simulated.get()[key.lower()] if key.lower() in _simulated.get() else _resolve(key, ctx)


iam_evaluator._resolve_condition_key = resolve_condition_key


def members(arg, prefix):
    """The values of PREFIX.member.1, PREFIX.member.2 and so on."""
    found = []
    while arg(f"{prefix}.member.{len(found) + 1}"):
        found.append(arg(f"{prefix}.member.{len(found) + 1}"))
    return found


def simulate_principal_policy(p):
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html"""
    def arg(key):
        return iam._p(p, key)
    arn, account = arg("PolicySourceArn"), get_account_id()
    kind, name = arn.split(":")[5].split("/", 1)[0], arn.rsplit("/", 1)[-1]
    store = {"user": iam._users, "role": iam._roles}.get(kind, {})
    if (store.get(name) or {}).get("Arn") != arn:
        return refused(404, "NoSuchEntity", f"The {kind} {name} cannot be found.")
    gather = iam_evaluator._gather_user_policies if kind == "user" else iam_evaluator._gather_role_policies
    limits = iam_evaluator._permissions_boundary(store, name, account)
    context, n = {}, 1
    while arg(f"ContextEntries.member.{n}.ContextKeyName"):
        values = members(arg, f"ContextEntries.member.{n}.ContextKeyValues")
        context[arg(f"ContextEntries.member.{n}.ContextKeyName").lower()] = values[0] if len(values) == 1 else values
        n += 1
    _simulated.set(context)
    results = ""
    for action in members(arg, "ActionNames"):
        for resource in members(arg, "ResourceArns") or ["*"]:
            ctx = iam_evaluator.EvalContext(principal_arn=arn, principal_type=kind.capitalize(), principal_account=account, action=action,
                                            resource_arn=resource, region=get_region())
            found = iam_evaluator.evaluate(ctx, gather(name, account), *limits).decision
            decision = {"Allow": "allowed", "Deny": "explicitDeny"}.get(found, "implicitDeny")
            results += (f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>"
                        f"<EvalDecision>{decision}</EvalDecision><MatchedStatements/><MissingContextValues/></member>")
    _simulated.set({})
    return iam._xml(200, "SimulatePrincipalPolicyResponse", "<SimulatePrincipalPolicyResult><EvaluationResults>" + results
                    + "</EvaluationResults><IsTruncated>false</IsTruncated></SimulatePrincipalPolicyResult>", ns="iam")


iam._IAM_HANDLERS["SimulatePrincipalPolicy"] = simulate_principal_policy

# -- Reads that lag -------------------------------------------------------------------------------------------------------------

STORES = [iam._users, iam._roles, iam._policies, iam._groups, iam._user_inline_policies, iam._group_inline_policies]
KEPT_SECONDS = 30
_lag = contextvars.ContextVar("lag", default=0.0)
_history = {}  # account: [(time, what IAM holds from then on)]


def held():
    return [copy.deepcopy(dict(store.items())) for store in STORES]


def put(contents):
    for store, content in zip(STORES, contents):
        for key in list(store):
            del store[key]
        for key, value in content.items():
            store[key] = value


@contextlib.contextmanager
def as_it_was():
    """IAM of this account as it was before the lag. Nothing else runs meanwhile: no handler within waits for anything."""
    moment = time.monotonic() - _lag.get()
    past = [content for at, content in _history.get(get_account_id(), []) if at <= moment]
    if not _lag.get() or not past:
        yield
        return
    now = [dict(store.items()) for store in STORES]
    put(past[-1])
    try:
        yield
    finally:
        put(now)


def is_read(action):
    return action.startswith(("Get", "List", "Simulate"))


def lagging(action, handler):
    def read(p):
        with as_it_was():
            return handler(p)

    def write(p):
        states = _history.setdefault(get_account_id(), [])
        if _lag.get() and not states:
            states.append((0.0, held()))
        answer = handler(p)
        if states:
            states.append((time.monotonic(), held()))
            # The last of the old ones is what still holds at the beginning of what is kept.
            while len(states) > 1 and states[1][0] < time.monotonic() - KEPT_SECONDS:
                states.pop(0)
        return answer
    return read if is_read(action) else write


iam._IAM_HANDLERS.update({action: lagging(action, handler) for action, handler in iam._IAM_HANDLERS.items()})
_enforce, _sts = iam_evaluator.enforce, sts.handle_request


def trusted_by_name(role_arn, caller):
    """Whether a role of the caller's own account names the caller: then no policy of the caller is needed.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-req-context.html"""
    role = iam._roles.get(role_arn.rsplit("/", 1)[-1])
    if not role or role["Arn"] != role_arn or role_arn.split(":")[4] != caller.split(":")[4]:
        return False
    statements = json.loads(role["AssumeRolePolicyDocument"]).get("Statement", [])
    named = [s.get("Principal") for s in (statements if isinstance(statements, list) else [statements]) if s.get("Effect") == "Allow"]
    named = [p.get("AWS", []) for p in named if isinstance(p, dict)]
    return any(caller in ([p] if isinstance(p, str) else p) for p in named)


def enforce(key, action, *args, **kwargs):
    with as_it_was():
        denied = _enforce(key, action, *args, **kwargs)
        if action == "sts:AssumeRole" and getattr(denied, "decision", None) == "ImplicitDeny":
            if trusted_by_name(kwargs.get("resource_arn", "*"), denied.principal_arn):
                return None
        return denied


async def handle_sts(method, path, headers, body, query_params):
    params = {**query_params, **parse_qs((body or b"").decode("utf-8", errors="replace"))}

    def arg(key):
        return sts._p(params, key) or ""
    _source.set(arg("SourceIdentity") or None)
    if arg("Action") == "AssumeRole":
        why = session_refused(arg)
        if why:
            return iam._error(400, "ValidationError", why, ns="sts")
    with as_it_was():
        return await _sts(method, path, headers, body, query_params)


iam_evaluator.enforce = enforce
sts.handle_request = handle_sts


# -- Served ---------------------------------------------------------------------------------------------------------------------

_app = ministack.app


async def publish(receive, send):
    """A new default version of a policy of AWS."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    asked = json.loads(body)
    arn = iam._AWS_MANAGED_POLICY_PREFIX + asked["name"]
    record = iam._aws_managed_policies.get(arn)
    if record is None:
        record = iam._aws_managed_policies[arn] = iam._make_aws_managed_record(asked["name"], asked["document"])
    else:
        version = f"v{len(record['Versions']) + 1}"
        for other in record["Versions"].values():
            other["IsDefaultVersion"] = False
        record["Versions"][version] = {"Document": asked["document"], "VersionId": version, "IsDefaultVersion": True,
                                       "CreateDate": iam._now()}
        record.update(DefaultVersionId=version, UpdateDate=iam._now())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": arn.encode()})


async def app(scope, receive, send):
    if scope["type"] == "http":
        if scope["path"] == "/_emulator/aws-managed":
            return await publish(receive, send)
        lag = dict(scope["headers"]).get(b"x-emulator-lag")
        _lag.set(int(lag) / 1000 if lag else 0.0)
    await _app(scope, receive, send)


ministack.app = app

if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    ministack.main()
