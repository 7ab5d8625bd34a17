"""The package's logger, and what it must never print."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import sys
from typing import TextIO

__all__ = ["logger", "redact", "set_level", "write_json_lines"]

logger = logging.getLogger("hokusai_nb")

# The password of a database URI may hold slashes; the last at sign of the word ends it.
_USERINFO = re.compile(
    r"(?i)(?P<scheme>https?://)[^/?#\s]+@|(?P<other>(?<![\w+.\-])(?!https?:)[a-z][\w+.\-]*://)(?:[^/:\s]*:\S*|[^/\s]+)@"
)
_QUERY = re.compile(
    r"(?i)(?P<key>[?&](?:password|passwd|pwd|passfile|sslpassword|secret|token|api_?key|access_key|odbc_connect|sig|signature|x-amz-[a-z-]+|x-goog-[a-z-]+)=)[^&#\s]+"
)
# Our own API keys, after whose id the secret begins, and the secrets of webhooks.
_KEYS = re.compile(r"\b(hk_[A-Za-z0-9]+_|whsec_)[\w+/=\-]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic|authorization:\s*\w+)\s+[\w.~+/\-]+=*")


def redact(text: str) -> str:
    """Return the text without user names and passwords in URIs and without authorization headers.

    >>> redact("postgresql://me:s3cret@db/x")
    'postgresql://***@db/x'
    """
    text = _USERINFO.sub(lambda match: f"{match['scheme'] or match['other']}***@", text)
    text = _KEYS.sub(r"\1***", _QUERY.sub(r"\g<key>***", text))
    return _BEARER.sub(r"\1 ***", text)


class _Redacting(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info:
            # A stack trace quotes URIs too; once it is text, no handler writes its own.
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


class _LastResort(logging.StreamHandler[TextIO]):
    """Writes to what is ``sys.stderr`` at the time, as long as the application set up no logging."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # the base class keeps the one it was made with
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


class _JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the stack trace where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        at = dt.datetime.fromtimestamp(record.created, tz=dt.UTC).isoformat(timespec="milliseconds")
        said = {"time": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_text:
            said["trace"] = record.exc_text
        return json.dumps(said, ensure_ascii=False)


def write_json_lines() -> None:
    """Have the package's own log on stderr be JSON lines, for a command or a server; an application's stays its own."""
    logger.handlers[0].setFormatter(_JsonLines())


def set_level(level: str) -> None:
    """Say from which level on the package logs; without logging of the application, to stderr."""
    logger.setLevel(level)


logger.addFilter(_Redacting())
logger.addHandler(_LastResort())
logger.handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
logger.setLevel(logging.WARNING)
