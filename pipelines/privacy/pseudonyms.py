"""Keyed hashes: the same text gives the same one, and nobody without RIVO_PII_KEY can try texts out."""

from __future__ import annotations

from hashlib import blake2b, sha256

from pipelines.settings import Settings


class Pseudonyms:
    """The hashes that one secret gives; domains are kept apart, so that one kind says nothing of another."""

    def __init__(self, secret: str) -> None:
        self._key = sha256(secret.encode()).digest()
        self.check = self._hash("rivo-check", "")
        """Tells whether two secrets are the same, and nothing else of them."""

    @classmethod
    def of(cls, settings: Settings) -> Pseudonyms | None:
        """Those of RIVO_PII_KEY; None where it is not set."""
        return cls(settings.pii_key.get_secret_value()) if settings.pii_key else None

    def token(self, text: str, is_email: bool = False) -> str:
        """What stands for a personal text in the warehouse: 32 hexadecimal digits; blank text stays blank.

        The same address in other capitals or with spaces around it is the same.
        """
        text = text.strip()
        return self._hash("rivo-pii", text.lower() if is_email or "@" in text else text) if text else text

    def identifier(self, token: str) -> str:
        """What somebody forgotten is recognised by: made of a token, since that is what RIVO_PII=hash keeps."""
        return self._hash("rivo-forget", token)

    def _hash(self, domain: str, text: str) -> str:
        return blake2b(
            text.encode(errors="surrogatepass"), digest_size=16, key=self._key, person=domain.encode()
        ).hexdigest()
