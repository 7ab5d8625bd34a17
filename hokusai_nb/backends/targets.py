"""Where webhooks may go: what an address says, and what its host's name stands for at the time of sending.

A webhook's address is chosen by a user and posted to by a server, which may reach what the user may
not. So the host is resolved here, every address that it has is checked, and the post goes to one of
those very addresses: a name that stands for something else a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx

from hokusai_nb.errors import UnsafeTargetError
from hokusai_nb.schema.deliveries import place_of
from hokusai_nb.schema.display import shortened
from hokusai_nb.schema.problems import Problem

__all__ = ["LONGEST", "Target", "check_target", "is_public", "resolve"]

LONGEST = 600
"""Characters of an address: as many as the database keeps."""
_PORTS = {"https": 443, "http": 80}
_ANY_PORT = range(1, 65_536)
_EXAMPLE = "Give an address such as https://example.org/hook."
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST = ipaddress.ip_network("2000::/3")
_REFUSED = [
    ipaddress.ip_network(net)
    for net in (
        "168.63.129.16/32",  # Azure's metadata, at an address that looks public
        "192.0.0.0/24",  # for protocols, Oracle's metadata among them
        "192.88.99.0/24",  # relays to IPv6
        "2001::/23",  # Teredo and other tunnels
        "2002::/16",  # 6to4, which carries an IPv4 address
        "3fff::/20",  # for examples in documents
    )
]


@dataclass(frozen=True)
class Target:
    """An address that may be posted to, as far as it can be told without asking for its host.

    Attributes:
        url: The whole address; may hold a secret.
        host: Its host as a name server and a certificate know it.
        place: Scheme, host and port, to show.
    """

    url: httpx.URL = field(repr=False)
    host: str
    port: int
    place: str

    @property
    def endpoint(self) -> tuple[str, str, int]:
        """What the addresses of one server have in common."""
        return self.url.scheme, self.host, self.port

    def at(self, address: str) -> httpx.URL:
        """Return the same address with a literal one in place of the host's name."""
        return self.url.copy_with(host=address, port=self.port)


def check_target(url: str, *, allow_private: bool = False) -> Target:
    """Return a webhook's address, taken apart; nothing is contacted.

    Args:
        url: What the user gave.
        allow_private: Whether it may be on this machine or a private network, and then without TLS.

    Raises:
        UnsafeTargetError: We do not send there. The message holds neither path nor query.
    """
    try:
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii").rstrip(".")
    except (httpx.InvalidURL, ValueError):
        what = "The address of the webhook cannot be read."
        raise _refused(what, _EXAMPLE) from None
    if not host:
        what = "The address of the webhook names no host."
        raise _refused(what, _EXAMPLE)
    place = shortened(place_of(url), 100)
    if wrong := _wrong(parts, host, place, allow_private=allow_private):
        raise _refused(*wrong)
    target = Target(parts, host, parts.port or _PORTS[parts.scheme], place)
    if (literal := _literal(host)) is not None:
        _check(target, [literal], allow_private=allow_private)
    return target


def _wrong(parts: httpx.URL, host: str, place: str, *, allow_private: bool) -> tuple[str, str] | None:
    """Return what is wrong with an address, and what to try."""
    if parts.scheme not in _PORTS or (parts.port is not None and parts.port not in _ANY_PORT):
        return f"A webhook cannot go to {place}.", _EXAMPLE
    if parts.userinfo:
        return f"The webhook {place} has a user or a password in its address.", "Leave it out; posts are signed."
    if len(str(parts)) > LONGEST:
        return f"The address of the webhook {place} is too long.", f"{LONGEST} characters are the most."
    if parts.scheme == "http" and not allow_private:
        hint = "Use https://; HOKUSAI_WEBHOOK_ALLOW_PRIVATE=true allows http:// on a private network."
        return f"The webhook {place} is not encrypted.", hint
    if not allow_private and (host == "localhost" or host.endswith(".localhost")):
        return _private(place)
    return None


def is_public(address: Address) -> bool:
    """Whether an address belongs to the open internet.

    Not one that stands for another, as IPv4 addresses mapped into IPv6 and those of NAT64, 6to4 and
    Teredo do, nor one of a cloud's metadata service.

    >>> is_public(ipaddress.ip_address("93.184.215.14")), is_public(ipaddress.ip_address("::ffff:93.184.215.14"))
    (True, False)
    """
    if address.version == 6 and address not in _UNICAST:  # noqa: PLR2004 - IPv6
        return False
    refused = any(address.version == net.version and address in net for net in _REFUSED)
    return address.is_global and not address.is_multicast and not refused


async def resolve(target: Target, *, allow_private: bool = False) -> list[str]:
    """Return the literal addresses that a target's host has now, all of which may be posted to.

    Raises:
        UnsafeTargetError: One of them may not.
        OSError: The name is not known.
    """
    literal = _literal(target.host)
    found = [literal] if literal else [ipaddress.ip_address(text) for text in await _ask(target.host, target.port)]
    _check(target, found, allow_private=allow_private)
    return [str(address) for address in found]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _check(target: Target, addresses: list[Address], *, allow_private: bool) -> None:
    public = [is_public(address) for address in addresses]
    if not allow_private and not all(public):
        raise _refused(*_private(target.place))
    if target.url.scheme == "http" and any(public):
        what = f"The webhook {target.place} is not encrypted, and not on a private network."
        raise _refused(what, "Use https://.")


def _private(place: str) -> tuple[str, str]:
    what = f"The webhook {place} is on this machine or a private network."
    return what, "Give a public address; HOKUSAI_WEBHOOK_ALLOW_PRIVATE=true allows private ones."


def _refused(what: str, hint: str) -> UnsafeTargetError:
    return UnsafeTargetError([Problem(field="webhook_url", what=what, hint=hint)])


async def _ask(host: str, port: int) -> list[str]:
    """Ask the system for a host's addresses.

    In a thread that nobody waits for at the end of the process, unlike asyncio's own: a name server
    that does not answer would keep a command from ending.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def tell(found: list[str] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found: list[str] | OSError = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except UnicodeError:  # a label of no or too many characters
            found = OSError("the host's name cannot be one")
        except OSError as error:
            found = error
        with suppress(RuntimeError):  # the loop is closed: whoever asked has given up
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=ask, name="hokusai-resolve", daemon=True).start()
    return await answer
