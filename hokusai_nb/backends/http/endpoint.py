"""Where the Hokusai API is, and the key that goes there and nowhere else."""

from __future__ import annotations

import ipaddress
import re
import threading
import warnings
from urllib.parse import urlsplit

from pydantic import SecretStr

from hokusai_nb.config import settings
from hokusai_nb.errors import AccessError, HokusaiWarning, ServiceError
from hokusai_nb.log import redact
from hokusai_nb.schema.problems import quoted

__all__ = ["Endpoint"]

_NO_KEY = "Set HOKUSAI_API_KEY, or give api_key=…; whoever runs the server makes one with: hokusai key create"
_warned: set[str] = set()
_lock = threading.Lock()


class Endpoint:
    """An address of the Hokusai API and a key for it.

    Attributes:
        address: Without a slash at its end.
        key: The key; shown nowhere.
    """

    def __init__(self, address: str | None = None, key: str | SecretStr | None = None) -> None:
        found = settings()
        self.address = _checked_address(found.api_endpoint if address is None else address)
        self.key = _checked_key(found.api_key if key is None else key)
        self._warn_of_plain_text()

    def __repr__(self) -> str:
        return f"Endpoint({self.address!r})"

    def without_key(self, content: bytes) -> bytes:
        """Return what a server said, without our key where it repeats that."""
        return content.replace(self.key.get_secret_value().encode(), b"***")

    def _warn_of_plain_text(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
            return
        with _lock:
            first = self.address not in _warned
            _warned.add(self.address)
        if first:
            what = (
                f"The key for the Hokusai API goes to {self.address} as plain text: everybody on the way can read it."
            )
            warnings.warn(f"{what} Use https.", HokusaiWarning, stacklevel=4)


def _checked_address(address: str) -> str:
    """Return an address that leads to one host and holds no secret.

    Raises:
        ServiceError: It does not.
    """
    hint = "Give scheme, host and, if need be, port and path: https://registry.example.org"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = address.isascii() and address.isprintable() and not {" ", "\\", "@", "?", "#"} & set(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not plain:
        shown = redact(re.split("[?#]", address)[0])  # what follows may be a secret
        msg = f"This is no address of the Hokusai API: {quoted(shown)}."
        raise ServiceError(msg, hint)
    return address.rstrip("/")


def _checked_key(key: str | SecretStr | None) -> SecretStr:
    """Return the key as it can stand in a header.

    Raises:
        AccessError: There is none, or it has a character that no key has.
    """
    text = (key.get_secret_value() if isinstance(key, SecretStr) else key or "").strip()
    if not text:
        msg = "There is no key for the Hokusai API."
        raise AccessError(msg, _NO_KEY)
    if not (text.isascii() and text.isprintable() and " " not in text):
        msg = "The key for the Hokusai API holds a character that no key has."
        raise AccessError(msg, "Copy it again, without quotes and line breaks.")
    return SecretStr(text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
