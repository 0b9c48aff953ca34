"""Where requests go: a server's address, the key that it may see, the proxy in between."""

import base64
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

OPENAI_KEY = "OPENAI_API_KEY"
OPENAI_URL = "OPENAI_BASE_URL"
_OPENAI_URL = "https://api.openai.com/v1"
_OPENAI_HOSTS = ("openai.com", "openai.azure.com")
"""Where the key in `OPENAI_KEY` may go without being asked for by name: these and
what lies below them.
"""


def key_variable(api_key_env: str | None, base_url: str | None) -> str | None:
    """The environment variable whose key a server is sent; None for no key."""
    return api_key_env or (OPENAI_KEY if is_openai(base_url) else None)


def passwords_in(url: str | None) -> Iterator[str]:
    """The name and password of an address as they stand there, alone, and as
    they are sent (RFC 7617).

    >>> list(passwords_in("http://me:secret@judge:8000/v1"))
    ['me:secret', 'secret', 'bWU6c2VjcmV0']
    """
    found = re.search(r"(?<=://).*(?=@)", url or "")
    if found:
        plain = unquote(found[0])
        encoded = base64.b64encode(plain.encode()).decode()
        yield from (text for text in dict.fromkeys((found[0], plain)) if text)
        yield from (text for text in (plain.partition(":")[2], encoded) if text)


def with_password(url: str | None, variable: str | None) -> str | None:
    """An address with the password that an environment variable holds, for
    the name that stands in it.

    So the configuration, which is logged, names the variable alone.

    >>> os.environ["JUDGE_PASSWORD"] = "se/cret"
    >>> with_password("http://me@judge:8000/v1", "JUDGE_PASSWORD")
    'http://me:se%2Fcret@judge:8000/v1'
    >>> del os.environ["JUDGE_PASSWORD"]

    Raises:
        ValueError: the variable is not set, or the address holds no name, or a password of its own.
    """
    if variable is None:
        return url
    address = url or ""
    named = re.match(r"(\w+://[^/@:]+)@", address)
    if named is None:
        raise ValueError("password_env is the password of a name in base_url: http://NAME@HOST/v1")
    if not os.environ.get(variable):
        raise ValueError(f"the environment variable {variable} of password_env is not set")
    return f"{named[1]}:{quote(os.environ[variable], safe='')}{address[named.end(1) :]}"


def without_password(url: str) -> str:
    """An address without the name and password that may stand in it.

    >>> without_password("http://me:secret@judge:8000/v1")
    'http://judge:8000/v1'
    """
    return re.sub(r"(?<=://).*@", "", url)


def asked_address(base_url: str | None) -> str:
    """Where the client sends requests: the address, else its own variable's, else OpenAI's."""
    return base_url or os.environ.get(OPENAI_URL) or _OPENAI_URL


def server_of(base_url: str | None) -> str:
    """The address that is asked, written in one way, without a name and password.

    >>> server_of("HTTP://me:secret@Judge:8000/v1/")
    'http://judge:8000/v1'
    """
    parts = urlsplit(without_password(asked_address(base_url)))
    host = parts.netloc.lower()
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), parts.query, ""))


def through_proxy(url: str) -> str:
    """Words on the proxy that the environment puts before an address, a loopback
    one too; "" for none.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return ""
    name = f"{parts.scheme.upper()}_PROXY" if parts.scheme in proxies else "ALL_PROXY"
    return (
        f", by way of the proxy {without_password(proxy)} of {name}: if it is not meant for this "
        f"server, set NO_PROXY={parts.hostname}"
    )


def is_openai(base_url: str | None) -> bool:
    """Whether this is a server of OpenAI's own (or Azure's of it), reached by https.

    None is where the client goes then: OPENAI_BASE_URL, else to OpenAI.

    >>> is_openai(None), is_openai("https://api.openai.com/v1")
    (True, True)
    >>> is_openai("https://openai.com.example.org/v1")
    False
    """
    parts = urlsplit(asked_address(base_url))
    host = parts.hostname or ""
    return parts.scheme == "https" and any(
        host == own or host.endswith(f".{own}") for own in _OPENAI_HOSTS
    )
