"""Decides requests with the evaluator that MiniStack enforces policies with: a case as JSON per line of standard input, a decision per line."""
import json
import sys

from ministack.core import iam_evaluator as iam

for line in sys.stdin:
    case = json.loads(line)
    layers = [[iam.parse_policy_document(document) for document in layer] for layer in case["layers"]]
    resolve = case["context"]
    iam._resolve_condition_key = lambda key, ctx: resolve.get(key.lower())
    context = iam.EvalContext(principal_arn="arn:aws:iam::111122223333:user/u", principal_type="User", principal_account="111122223333",
                              action=case["action"], resource_arn=case["resource"], region="eu-west-1", source_ip="", secure_transport=True)
    print(iam.evaluate(context, *layers).decision)
