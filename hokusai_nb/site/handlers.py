"""Who is told of events: the settings' destinations, and the handlers that run in this process.

A handler of one's own is a callable that takes an `Event`, declared as an entry point of the group
``hokusai_nb.event_handlers`` and named in ``HOKUSAI_EVENT_HANDLERS``. It has taken an event when it
returns; when it raises, it is called again later. It may get an event twice, by ``event_id`` the same.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from typing import TYPE_CHECKING, TypeAlias

from hokusai_nb.config import settings
from hokusai_nb.errors import HokusaiError
from hokusai_nb.log import redact
from hokusai_nb.schema.deliveries import CONSOLE, DATABASE, DELTAONE, WEBHOOK, Destination
from hokusai_nb.schema.display import printable, shortened
from hokusai_nb.schema.problems import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from hokusai_nb.schema.events import Event

__all__ = ["GROUP", "Destination", "Handler", "configured_destinations", "find_handler", "print_event"]

GROUP = "hokusai_nb.event_handlers"
Handler: TypeAlias = "Callable[[Event], object]"

_LONGEST_NAME = 64
_SAID = ("token_id", "timestamp")
_BUILT_IN = (CONSOLE, WEBHOOK, DATABASE)


def configured_destinations(webhook_url: str | None = None) -> tuple[Destination, ...]:
    """Return who is told of events that are written from now on: the console always, others by the settings.

    Args:
        webhook_url: Where events are posted, in place of the settings' address.

    Raises:
        HokusaiError: A handler is named that is not installed.
        UnsafeTargetError: Events are to be posted to an address that we do not send to.
    """
    wanted = (CONSOLE, *settings().event_handlers)
    found = [Destination(handler=_known(name)) for name in wanted if name != WEBHOOK]
    if webhook_url:
        found.append(_checked(WEBHOOK, webhook_url))
    if WEBHOOK in wanted:
        site = settings().site_webhook_url
        if site is not None and not webhook_url:
            found.append(_checked(WEBHOOK, site.get_secret_value()))
        found += [_checked(DELTAONE, url.get_secret_value()) for url in settings().deltaone_webhook_endpoints]
    return tuple(dict.fromkeys(found))


def _known(name: str) -> str:
    installed = importlib.metadata.entry_points(group=GROUP).names
    known = {*_BUILT_IN, *(n for n in installed if n != DELTAONE and len(n) <= _LONGEST_NAME)}
    if name in known:
        return name
    what = f"There is no event handler {quoted(name)}."
    raise HokusaiError(what, f"HOKUSAI_EVENT_HANDLERS can name: {', '.join(sorted(known))}.")


def _checked(handler: str, url: str) -> Destination:
    from hokusai_nb.backends.targets import check_target  # noqa: PLC0415 - imports httpx, for webhooks only

    check_target(url, allow_private=settings().webhook_allow_private)
    return Destination(handler=handler, target=url)


def find_handler(name: str) -> Handler:
    """Return what is called with each event.

    Raises:
        HokusaiError: It is not installed here, or cannot be loaded.
    """
    if name == CONSOLE:
        return print_event
    found = importlib.metadata.entry_points(group=GROUP)
    if name not in found.names:
        what = f"The event handler {quoted(name)} is not installed here."
        raise HokusaiError(what, "Install it where events are delivered.")
    try:
        handler: Handler = found[name].load()
    except Exception as error:
        what = f"The event handler {quoted(name)} cannot be loaded: {type(error).__name__}: {error}"
        raise HokusaiError(what, "Reinstall the package that brings it.") from error
    return handler


def print_event(event: Event) -> None:
    """Write one line on stderr."""
    payload = json.dumps({key: event.payload[key] for key in event.payload if key not in _SAID}, sort_keys=True)
    line = f"{event.timestamp} {event.event_type.value} {event.token_id or '–'} {payload}"
    sys.stderr.write(f"{shortened(printable(redact(line)))}\n")
    sys.stderr.flush()
