"""Numbers of samples as UUIDs that only this server can make, one set for each tenant."""

from __future__ import annotations

import hmac
import uuid

from vultus.server.secrets import Secrets

__all__ = ["SampleIds"]

# Of a version 4 UUID's 122 free bits, 64 hide the number and 58 prove it.
_NUMBER_BITS = 64
_PROOF_BITS = 58
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1
_PROOF_MASK = (1 << _PROOF_BITS) - 1


class SampleIds:
    """Sample number <-> UUID of one tenant.

    A UUID is the number under a keyed proof: it gives away neither how many samples there are nor
    in which order, and one of another tenant, or made up, stands for nothing.

    Args:
        secrets: The server's.
        tenant: Whose samples.
    """

    def __init__(self, secrets: Secrets, tenant: str) -> None:
        self._proof_key = secrets.digest("sample-id-proof", tenant)
        self._pad_key = secrets.digest("sample-id-pad", tenant)

    def to_uuid(self, number: int) -> str:
        """What a sample is called outside, 36 characters."""
        proof = self._proof(number)
        bits = (proof << _NUMBER_BITS) | (number ^ self._pad(proof))
        # RFC 9562, section 5.4: four version bits after 48, two variant bits after 64.
        high, middle, low = bits >> 74, (bits >> 62) & 0xFFF, bits & ((1 << 62) - 1)
        return str(uuid.UUID(int=high << 80 | 4 << 76 | middle << 64 | 2 << 62 | low))

    def number(self, text: str) -> int | None:
        """The sample of a UUID; ``None`` for anything this server did not make for this tenant."""
        try:
            whole = uuid.UUID(text)
        except (ValueError, AttributeError, TypeError):
            return None
        if str(whole) != text.lower() or whole.version != 4:
            return None
        value = whole.int
        bits = (value >> 80) << 74 | ((value >> 64) & 0xFFF) << 62 | value & ((1 << 62) - 1)
        proof = bits >> _NUMBER_BITS
        number = (bits & _NUMBER_MASK) ^ self._pad(proof)
        told = proof.to_bytes(8, "big")
        return number if hmac.compare_digest(self._proof(number).to_bytes(8, "big"), told) else None

    def _proof(self, number: int) -> int:
        mac = hmac.digest(self._proof_key, number.to_bytes(8, "big"), "sha256")
        return int.from_bytes(mac[:8], "big") & _PROOF_MASK

    def _pad(self, proof: int) -> int:
        mac = hmac.digest(self._pad_key, proof.to_bytes(8, "big"), "sha256")
        return int.from_bytes(mac[:8], "big")
