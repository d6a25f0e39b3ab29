"""moto, for Identity Center, corrected where it answers otherwise than AWS. docs/providers/aws-emulators.md lists every correction.

usage: python identity_center.py -H 127.0.0.1 -p 5055
"""
import uuid

from moto.core.exceptions import JsonRESTError
from moto.server import main
from moto.ssoadmin import models

_init, _generate = models.Instance.__init__, models.PermissionSet.generate_id
_create = models.SSOAdminBackend.create_permission_set


def init(self, *args, **kwargs):
    _init(self, *args, **kwargs)
    # https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_CreateUser.html: ^d-[0-9a-f]{10}$
    self.identity_store_id = f"d-{uuid.uuid4().hex[:10]}"


def generate_id(instance_arn):
    # https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_PermissionSet.html: arn:aws:sso:::permissionSet/ssoins-…/ps-…
    return _generate(instance_arn).replace(":instance/", ":permissionSet/", 1)


def create_permission_set(self, name, description, instance_arn, session_duration, relay_state, tags):
    # https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_CreatePermissionSet.html: ConflictException
    if any(p.name == name and p.instance_arn == instance_arn for p in self.permission_sets):
        raise JsonRESTError("ConflictException", f"PermissionSet with name {name} already exists.")
    # SessionDuration is text in ISO 8601, and one hour where it is left out.
    duration = session_duration if isinstance(session_duration, str) else "PT1H"
    return _create(self, name, description, instance_arn, duration, relay_state, tags)


models.Instance.__init__ = init
models.PermissionSet.generate_id = staticmethod(generate_id)
models.SSOAdminBackend.create_permission_set = create_permission_set

if __name__ == "__main__":
    main()
