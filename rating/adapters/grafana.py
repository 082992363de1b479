"""Boards in Grafana, by its HTTP API through grafana-client. Decides nothing about which boards, or whether.

grafana-client is the extra `grafana`; without it this module still imports and says what to install.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.ports import ShownBoard

_TIMEOUT = 30.0


class GrafanaBoards:
    """Keeps the promises of `ports.Boards`.

    Args:
        url: of Grafana, a path in front included.
        token: of a service account that may edit dashboards and folders; may be empty.
    """

    def __init__(self, url: str, token: str = "", timeout: float = _TIMEOUT) -> None:
        try:
            from grafana_client.api import GrafanaApi
        except ImportError as error:
            raise EdgeUnavailable("grafana-client is not installed; pip install 'rating-engine[grafana]'") from error
        parts = urlsplit(url)
        # Without user and password: this is printed.
        self._where = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EdgeRefused(f"{self._where!r} is not an address of Grafana; write https://grafana.example")
        # The client glues its paths to ours: a path in front must end in a slash.
        whole = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/"))
        self._api = GrafanaApi.from_url(whole, credential=token or None, timeout=timeout)

    def shown(self, uid: str) -> ShownBoard | None:
        with self._asking(f"board {uid}"):
            answer = _or_none(lambda: self._api.dashboard.get_dashboard(uid))
        if answer is None:
            return None
        if not isinstance(answer, dict) or "dashboard" not in answer:
            raise EdgeRefused(f"{self._where} answered something that is no board for {uid}; is it Grafana?")
        document = dict(answer["dashboard"])
        return ShownBoard(document, answer.get("meta", {}).get("folderUid", ""), int(document.get("version", 0)))

    def keep_folder(self, uid: str, title: str) -> None:
        with self._asking(f"folder {uid}"):
            if _or_none(lambda: self._api.folder.get_folder(uid)) is None:
                self._api.folder.create_folder(title, uid=uid)

    def show(self, document: Mapping[str, Any], folder: str, *, replaces: int | None) -> None:
        board = {**document, "id": None} if replaces is None else {**document, "version": replaces}
        message = "rating dashboards push"
        with self._asking(f"board {document['uid']}"):
            # Without overwrite Grafana compares versions: an edit made meanwhile is refused, not lost.
            self._api.dashboard.update_dashboard(
                {"dashboard": board, "folderUid": folder, "overwrite": False, "message": message}
            )

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Grafana's errors as ours."""
        from grafana_client.client import GrafanaClientError, GrafanaException, GrafanaServerError, GrafanaTimeoutError
        from niquests.exceptions import RequestException

        try:
            yield
        except GrafanaTimeoutError as error:
            raise EdgeUnavailable(f"{self._where} did not answer for {what}; try again") from error
        except GrafanaServerError as error:
            raise EdgeUnavailable(f"{self._where} failed for {what}: {error.message}; try again") from error
        except GrafanaClientError as error:
            if error.status_code == 412:
                sentence = f"{what} at {self._where} was changed while we looked: {error.message}; push again"
                raise EdgeDisagrees(sentence) from error
            hint = "check the token and its rights" if error.status_code in (401, 403) else "see Grafana's log"
            raise EdgeRefused(
                f"{self._where} refused {what} with {error.status_code}: {error.message}; {hint}"
            ) from error
        except GrafanaException as error:
            raise EdgeUnavailable(f"{self._where} cannot be asked for {what}: {error.message}; try again") from error
        except json.JSONDecodeError as error:
            raise EdgeRefused(f"{self._where} answered no JSON for {what}; is it Grafana?") from error
        except RequestException as error:
            raise EdgeUnavailable(f"{self._where} cannot be reached: {type(error).__name__}; try again") from error


def _or_none(ask: Any) -> Any:
    """The answer, or None when there is no such thing."""
    from grafana_client.client import GrafanaClientError

    try:
        return ask()
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise
