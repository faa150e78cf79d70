"""Which tenant a request belongs to, by a key of which only the digest is known."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import final

from walras.errors import InputError
from walras.experiments.gateway.classes import entries
from walras.experiments.gateway.deciding.tenants import Tenant
from walras.experiments.gateway.deciding.terms import ALONE

_DIGEST = re.compile(r"[0-9a-f]{64}")


@final
class Keys:
    """The tenants, and whose key is whose.

    Args:
        tenants: who shares the budget.
        digests: SHA-256 of a key, in hexadecimal digits -> name of its tenant. None: everybody is the only tenant.
    """

    def __init__(self, tenants: tuple[Tenant, ...] = (ALONE,), digests: Mapping[str, str] | None = None) -> None:
        self.tenants, self._digests = tenants, digests

    @property
    def open(self) -> bool:
        """Whether nobody needs a key; then clients' keys are the upstream's business, and passed on."""
        return self._digests is None

    def tenant(self, authorization: str) -> str | None:
        """The tenant of a header `Authorization: Bearer KEY`; None of a key that is not known."""
        if self._digests is None:
            return self.tenants[0].name
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return None
        return self._digests.get(digest_of(key.strip()))


def digest_of(key: str) -> str:
    """SHA-256 of a key, as a file of tenants holds it: what `printf %s "$KEY" | sha256sum` prints."""
    return sha256(key.encode("latin-1", "replace")).hexdigest()


def read_tenants(path: Path | None) -> Keys:
    """The tenants of a YAML file: per name `keys`, and `weight` or `budget` if wanted.

    Raises:
        InputError: what is wrong with the file; it quotes no key.
    """
    if path is None:
        return Keys()
    tenants, digests = [], dict[str, str]()
    for name, fields in entries(path, "file of tenants", ("weight", "budget", "keys")):
        tenants.append(Tenant(name, fields.get("weight", 1.0), fields.get("budget")))
        if "weight" in fields and "budget" in fields:
            raise InputError(f"tenant {name!r} has a weight and a budget; valid: one of them, or none")
        own = fields.get("keys")
        if not isinstance(own, list) or not own:
            raise InputError(f"tenant {name!r} has no keys; valid: a list of SHA-256 digests of keys")
        for number, digest in enumerate(own, 1):
            if not (isinstance(digest, str) and _DIGEST.fullmatch(digest.lower())):
                raise InputError(
                    f"key {number} of tenant {name!r} is no SHA-256 digest of 64 hexadecimal digits; "
                    "make one: printf %s KEY | sha256sum"
                )
            if digest.lower() in digests:
                raise InputError(f"key {number} of tenant {name!r} is one of tenant {digests[digest.lower()]!r} too")
            digests[digest.lower()] = name
    return Keys(tuple(tenants), digests)
