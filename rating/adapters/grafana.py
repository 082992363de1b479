"""Boards, library panels, data sources and annotations in Grafana, by its HTTP API through grafana-client.

Decides nothing about which of them, or whether. grafana-client is the extra `grafana`; without it this module still
imports and says what to install.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rating.core.periods import milliseconds
from rating.errors import EdgeDisagrees, EdgeRefused, EdgeUnavailable
from rating.ports import Mark, ShownBoard, ShownPanel

_TIMEOUT = 30.0
_MOST_MARKS = 100_000


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

    def source(self, uid: str) -> Mapping[str, Any] | None:
        with self._asking(f"data source {uid}"):
            answer = _or_none(lambda: self._api.datasource.get_datasource_by_uid(uid))
        return None if answer is None else dict(answer)

    def keep_source(self, document: Mapping[str, Any], *, new: bool) -> None:
        with self._asking(f"data source {document['uid']}"):
            if new:
                self._api.datasource.create_datasource(dict(document))
            else:
                self._api.datasource.update_datasource_by_uid(document["uid"], dict(document))

    def panel(self, uid: str) -> ShownPanel | None:
        with self._asking(f"library panel {uid}"):
            answer = _or_none(lambda: self._api.libraryelement.get_library_element(uid))
        if answer is None:
            return None
        found = answer.get("result", answer)
        return ShownPanel(found["model"], found.get("folderUid", ""), int(found["version"]))

    def show_panel(self, uid: str, name: str, model: Mapping[str, Any], folder: str, *, replaces: int | None) -> None:
        with self._asking(f"library panel {uid}"):
            if replaces is None:
                self._api.libraryelement.create_library_element(dict(model), name=name, uid=uid, folder_uid=folder)
            else:
                self._api.libraryelement.update_library_element(
                    uid, dict(model), name=name, folder_uid=folder, version=replaces
                )

    def marks(self, tags: Sequence[str]) -> frozenset[tuple[str, ...]]:
        with self._asking("annotations"):
            answer = self._api.annotations.find_annotations(tags=list(tags), limit=_MOST_MARKS)
        return frozenset(tuple(one["tags"]) for one in answer)

    def mark(self, mark: Mark) -> None:
        with self._asking(f"annotation {mark.tags[-1]}"):
            at = milliseconds(mark.at)
            self._api.annotations.add_annotation(time_from=at, time_to=at, tags=list(mark.tags), text=mark.text)

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
