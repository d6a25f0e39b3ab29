"""Makes an account in MiniStack through its API and writes what its API says of it, as the AWS CLI would print it.

usage: live.py EMULATOR-SCRIPT DIRECTORY

Writes details.json, pages.json (page after page) and credentials.json.
"""
import base64
import datetime
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import boto3

emulator, directory = sys.argv[1], pathlib.Path(sys.argv[2])
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
server = subprocess.Popen([sys.executable, emulator], env={**os.environ, "PORT": str(port), "TMPDIR": str(directory)},
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
url = f"http://127.0.0.1:{port}"


def ready():
    try:
        return urllib.request.urlopen(f"{url}/_ministack/health", timeout=1).status == 200
    except OSError:
        return False


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def written(value):
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


try:
    deadline = time.monotonic() + 60
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("MiniStack does not answer")
        time.sleep(0.05)
    iam = boto3.client("iam", endpoint_url=url, region_name="us-east-1", aws_access_key_id="111122223333", aws_secret_access_key="test")
    account = "arn:aws:iam::111122223333"
    iam.create_group(GroupName="developers")
    iam.put_group_policy(GroupName="developers", PolicyName="read", PolicyDocument=document(allow(["s3:Get*", "s3:List*"], "*")))
    for name, tags in (("alice", []), ("bob", []), ("batch", [{"Key": "ck_exclude_from_pci", "Value": "true"}])):
        iam.create_user(UserName=name, Tags=tags)
    iam.add_user_to_group(GroupName="developers", UserName="bob")
    iam.attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.create_access_key(UserName="batch")
    iam.create_login_profile(UserName="alice", Password="Correct-horse-9")
    iam.put_user_policy(UserName="batch", PolicyName="write", PolicyDocument=document(
        allow("s3:PutObject", "arn:aws:s3:::backups-${aws:username}/*"),
        {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}))
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=document(allow("ec2:*", "*")))["Policy"]["Arn"]
    grant = iam.create_policy(PolicyName="curfew-0123abcd-00000000000000a1-20991231T081500Z", Path="/curfew/", PolicyDocument=document(
        allow("secretsmanager:GetSecretValue", "*", Condition={"DateLessThan": {"aws:CurrentTime": "2099-12-31T08:15:00Z"}})))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="bob", PolicyArn=grant)
    iam.create_role(RoleName="worker", PermissionsBoundary=boundary, AssumeRolePolicyDocument=document(
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}))
    iam.put_role_policy(RoleName="worker", PolicyName="all", PolicyDocument=document(allow("*", "*")))
    iam.create_role(RoleName="partner", AssumeRolePolicyDocument=document(
        {"Effect": "Allow", "Principal": {"AWS": "999988887777"}, "Action": "sts:AssumeRole"}))
    pages = list(iam.get_paginator("get_account_authorization_details").paginate())
    for page in pages:
        page.pop("ResponseMetadata", None)
        # MiniStack leaves these out here, which AWS does not (API_RoleDetail); its GetRole has them.
        for role in page.get("RoleDetailList", []):
            role.update({key: value for key, value in iam.get_role(RoleName=role["RoleName"])["Role"].items() if key == "PermissionsBoundary"})
    lists = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    whole = {name: [item for page in pages for item in page.get(name, [])] for name in lists}
    (directory / "details.json").write_text(json.dumps(whole, default=written))
    (directory / "pages.json").write_text("\n".join(json.dumps(page, default=written) for page in pages))
    while iam.generate_credential_report()["State"] != "COMPLETE":
        time.sleep(0.05)
    content = base64.b64encode(iam.get_credential_report()["Content"]).decode()
    (directory / "credentials.json").write_text(json.dumps({"Content": content, "ReportFormat": "text/csv"}))
finally:
    server.terminate()
    server.wait()
