"""moto, for Identity Center. Its identity stores get ids of the form that AWS documents; moto's own hold letters beyond f.

usage: python identity_center.py -H 127.0.0.1 -p 5055
"""
import uuid

from moto.server import main
from moto.ssoadmin import models

_init = models.Instance.__init__


def init(self, *args, **kwargs):
    _init(self, *args, **kwargs)
    # https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_CreateUser.html: ^d-[0-9a-f]{10}$
    self.identity_store_id = f"d-{uuid.uuid4().hex[:10]}"


models.Instance.__init__ = init

if __name__ == "__main__":
    main()
