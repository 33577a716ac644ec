"""Client of the Zabbix API: the only module that uses pyzabbix and its HTTP client."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import requests
from pyzabbix.api import ZabbixAPI, ZabbixAPIException
from requests.utils import get_environ_proxies, select_proxy

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision import failures
from zabbix_sockets.provision.credentials import Login, Token
from zabbix_sockets.provision.frontend import Frontend
from zabbix_sockets.provision.interrupt import interrupting
from zabbix_sockets.provision.templates import SEPARATE_GROUPS, Version, parse_version

if not hasattr(ZabbixAPI, "check_authentication"):
    raise ImportError("another distribution's pyzabbix", name=failures.PY_ZABBIX)

ApiObject = dict[str, Any]
"""An object of the API's JSON: a host, a map, an element of one ..."""
_Decoded = TypeVar("_Decoded")

USER_ROLE, ADMIN_ROLE = 1, 2
"""Types of roles; 3 is Super admin."""
_LOGOUT_SECONDS = 5.0
_MISUNDERSTANDINGS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors of decoding an answer that is another than the API's: an infinite number, say."""
_GRACE = 1.0
"""Seconds after which a server that answers byte by byte is given up."""


class Api:
    """A connection to one server, whose version it asks for at once.

    Args:
        frontend: the address of the server's frontend.
        timeout: seconds for each of the server's answers.
        ca_file: the path of certificates to trust (PEM), instead of the system's; None: these.

    Attributes:
        version: the server's.

    Raises:
        RefusedError, UnreachableError: as call().
    """

    def __init__(self, frontend: Frontend, timeout: float, ca_file: str | None) -> None:
        logging.getLogger("pyzabbix").disabled = True
        logging.getLogger("pyzabbix.api").disabled = True  # at DEBUG it tells passwords
        self._url = frontend.url
        self._timeout = timeout
        self._secrets: tuple[str, ...] = ()
        self._logged_in = False
        self._role = 0
        self._client = ZabbixAPI(frontend.url, session=_Session(frontend.url, ca_file))
        self.version: Version = self.decoded("apiinfo.version", parse_version)

    @property
    def select_host_groups(self) -> str:
        """The parameter of host.get that asks for the groups of a host."""
        return "selectHostGroups" if self.version >= SEPARATE_GROUPS else "selectGroups"

    def login(self, credentials: Token | Login, least_role: int = ADMIN_ROLE) -> None:
        """Begin a session with a user and a password, or check that a token is taken.

        Raises:
            RefusedError: the server refuses, or the type of the user's role is below *least_role*;
                one below Admin may not change templates.
            UnreachableError: as of call().
        """
        try:
            with self._errors():
                if isinstance(credentials, Token):
                    self._secrets = (credentials.token,)
                    self._client.login(api_token=credentials.token)
                    who = {"token": credentials.token}
                else:
                    self._secrets = (credentials.password,)
                    self._client.login(credentials.user, credentials.password)
                    self._logged_in = True
                    who = {"sessionid": str(self._client.auth)}
                    self._secrets = (credentials.password, str(self._client.auth))
            name, self._role = self.decoded("user.checkAuthentication", _decode_user, **who)
        except failures.RefusedError as error:
            raise failures.login_refused(error, with_token=isinstance(credentials, Token)) from None
        if self._role < least_role:
            raise failures.refused(f"no permission: user {name} has a role of type User", ())

    @property
    def is_super_admin(self) -> bool:
        """Whether the user's role is of the type Super admin, which alone may create groups."""
        return self._role > ADMIN_ROLE

    def logout(self) -> None:
        """End the session that a password began, if one did; errors are passed over."""
        if self._logged_in:
            self._logged_in = False
            self._timeout = min(self._timeout, _LOGOUT_SECONDS)
            with suppress(SocketsError):  # it expires by itself
                self.call("user.logout")

    def call(self, method: str, **parameters: object) -> object:
        """Return the result of an API method, as it was decoded from JSON.

        Raises:
            RefusedError: the server understood and refused.
            UnreachableError: there is no answer in time, or none of a Zabbix API.
        """
        with self._errors():
            return self._client.do_request(method, parameters)["result"]

    def delete(self, method: str, ids: list[str]) -> None:
        """Call an API method that deletes the objects of these ids.

        Raises:
            RefusedError, UnreachableError: as call().
        """
        with self._errors():
            self._client.do_request(method, ids)

    def decoded(
        self, method: str, decode: Callable[[Any], _Decoded], **parameters: object
    ) -> _Decoded:
        """Return the result of an API method, as the function *decode* gives it.

        Raises:
            RefusedError, UnreachableError: as call(); the latter, too, where decoding fails.
        """
        result = self.call(method, **parameters)
        try:
            return decode(result)
        except _MISUNDERSTANDINGS:
            raise failures.no_api(
                self._url, f"its answer to {method} can't be understood"
            ) from None

    def rows(
        self, method: str, decode: Callable[[ApiObject], _Decoded], **parameters: object
    ) -> list[_Decoded]:
        """Return the objects of a get method, each as the function *decode* gives it.

        Raises:
            RefusedError, UnreachableError: as decoded().
        """
        return self.decoded(method, lambda rows: [decode(row) for row in rows], **parameters)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the client's exceptions in the block into errors of ours, and bound its time."""
        self._client.timeout = self._timeout
        try:
            # The client's own timeout begins anew with each byte.
            late = failures.timed_out(self._url, self._timeout)
            with interrupting(self._timeout + _GRACE, late):
                yield
        except ZabbixAPIException as error:
            raise self._worded(error) from None
        except requests.HTTPError as error:
            raise failures.no_api(self._url, _status(error.response)) from None
        except OSError as error:  # requests' exceptions among them
            found = failures.unreachable(self._url, error, self._timeout)
            raise (failures.by_proxy(found) if self._has_proxy() else found) from None
        except _MISUNDERSTANDINGS:
            raise failures.no_api(self._url, "its answer is not that of a Zabbix API") from None

    def _has_proxy(self) -> bool:
        return bool(select_proxy(self._url, get_environ_proxies(self._url)))

    def _worded(self, error: ZabbixAPIException) -> SocketsError:
        if not isinstance(error.error, dict):  # pyzabbix's own: no JSON
            return failures.no_api(self._url, "answers, but not in JSON")
        said = error.error.get("data")
        if said in (None, "", "No data"):
            said = error.error.get("message")
        return failures.refused(str(said or ""), self._secrets)


@contextmanager
def connected(frontend: Frontend, timeout: float, ca_file: str | None) -> Iterator[Api]:
    """Yield the API, not logged in yet; a session is ended however the block ends.

    Arguments are those of Api. pyzabbix's own context manager swallows exceptions, and so is not
    used.

    Raises:
        SocketsError: the file with certificates can't be used.
        RefusedError, UnreachableError: as Api.
    """
    if ca_file is not None:
        _check_ca(ca_file)
    api = Api(frontend, timeout, ca_file)
    try:
        yield api
    finally:
        api.logout()


class _Session(requests.Session):
    """A session that verifies TLS, follows no redirect and takes nothing from ~/.netrc."""

    def __init__(self, url: str, ca_file: str | None) -> None:
        super().__init__()
        self._ca_file = ca_file
        self.auth = lambda request: request  # else .netrc replaces the API's own header

        def refuse_redirect(response: requests.Response, **_: object) -> None:
            if response.is_redirect:
                raise failures.redirected(url, response.headers["location"])

        self.hooks["response"].append(refuse_redirect)

    def merge_environment_settings(self, *args: Any, **kwargs: Any) -> Any:
        """Let --ca-file win over REQUESTS_CA_BUNDLE, against the base class."""
        settings = super().merge_environment_settings(*args, **kwargs)
        if self._ca_file is not None:
            settings["verify"] = self._ca_file
        return settings


def _decode_user(row: ApiObject) -> tuple[str, int]:
    return str(row["username"]), int(row["type"])


def _status(response: requests.Response | None) -> str:
    if response is None:
        return "an HTTP error"
    return failures.in_one_line(f"HTTP {response.status_code} {response.reason}")


def _check_ca(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise SocketsError(f"{path}: holds no certificate in PEM format") from None
    except OSError as error:
        raise SocketsError(f"{path}: {error.strerror}") from None
