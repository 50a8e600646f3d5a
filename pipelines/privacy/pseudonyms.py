"""Keyed hashes of personal texts: equal texts have equal hashes; without RIVO_PII_KEY no hash can be guessed."""

from __future__ import annotations

from hashlib import blake2b, sha256

from pipelines.settings import Settings


class Pseudonyms:
    """The keyed hashes of one secret. Each kind has a domain of its own, so that kinds cannot be compared."""

    def __init__(self, secret: str) -> None:
        self._key = sha256(secret.encode()).digest()
        self.check = self._hash("rivo-check", "")
        """A hash that differs between secrets, to compare them without storing them."""

    @classmethod
    def of(cls, settings: Settings) -> Pseudonyms | None:
        """Return the pseudonyms of RIVO_PII_KEY; None if it is not set."""
        return cls(settings.pii_key.get_secret_value()) if settings.pii_key else None

    def token(self, text: str, is_email: bool = False) -> str:
        """Return the token that replaces a personal text: 32 hexadecimal digits; a blank text stays blank.

        Spaces around a text do not count, nor do capitals in an address.
        """
        text = text.strip()
        return self._hash("rivo-pii", text.lower() if is_email or "@" in text else text) if text else text

    def identifier(self, token: str) -> str:
        """Return the hash that identifies an erased person, made from the token of an id, address or code."""
        return self._hash("rivo-forget", token)

    def _hash(self, domain: str, text: str) -> str:
        return blake2b(
            text.encode(errors="surrogatepass"), digest_size=16, key=self._key, person=domain.encode()
        ).hexdigest()
