"""The package's logger, and what it must never print."""

from __future__ import annotations

import logging
import re

__all__ = ["logger", "redact"]

logger = logging.getLogger("hokusai_nb")
logger.addHandler(logging.NullHandler())

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][\w+.\-]*://)[^/\s@]*:[^/\s]*@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/\-]+=*")


def redact(text: str) -> str:
    """Return the text without user names and passwords in URIs and without authorization headers.

    >>> redact("postgresql://me:s3cret@db/x")
    'postgresql://***@db/x'
    """
    return _BEARER.sub(r"\1 ***", _USERINFO.sub(r"\g<scheme>***@", text))


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True


logger.addFilter(_Redacting())
