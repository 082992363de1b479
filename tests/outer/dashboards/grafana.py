"""A stand-in of Grafana's HTTP API on loopback. Only that: no Grafana takes part in the tests.

It knows boards, folders, data sources, library panels and annotations, and keeps what Grafana's reference says of them:
versions count up, a stale version is 412, an unknown uid 404, a wrong token 401, and boards come back with an id and a
version of its own and defaults it added.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs

TOKEN = "glsa_right"


class Grafana:
    def __init__(self) -> None:
        self.boards: dict[str, dict[str, Any]] = {}
        self.folders: dict[str, str] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.panels: dict[str, dict[str, Any]] = {}
        self.marks: list[dict[str, Any]] = []
        self.writes: list[tuple[str, str]] = []
        self.failing = 0
        """Answers with this status instead, when not 0."""
        grafana = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(*grafana.read(self.path, self.headers.get("Authorization", "")))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                self.answer(*grafana.write(self.path, body, self.headers.get("Authorization", "")))

            do_PUT = do_PATCH = do_POST

            def answer(self, status: int, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/grafana"

    def read(self, path: str, authorization: str) -> tuple[int, Any]:
        if refused := self._refused(authorization):
            return refused
        path, _, query = path.partition("?")
        if path == "/grafana/api/annotations":
            wanted = set(parse_qs(query)["tags"])
            return 200, [mark for mark in self.marks if wanted <= set(mark["tags"])]
        kind, _, uid = path.removeprefix("/grafana/api/").rpartition("/")
        if kind == "folders" and uid in self.folders:
            return 200, {"uid": uid, "title": self.folders[uid]}
        if kind == "dashboards/uid" and uid in self.boards:
            kept = self.boards[uid]
            return 200, {"dashboard": kept["dashboard"], "meta": {"folderUid": kept["folderUid"]}}
        if kind == "datasources/uid" and uid in self.sources:
            return 200, self.sources[uid]
        if kind == "library-elements" and uid in self.panels:
            return 200, {"result": self.panels[uid]}
        return 404, {"message": "not found"}

    def write(self, path: str, body: dict[str, Any], authorization: str) -> tuple[int, dict[str, Any]]:
        if refused := self._refused(authorization):
            return refused
        if path == "/grafana/api/folders":
            self.folders[body["uid"]] = body["title"]
            self.writes.append(("folder", body["uid"]))
            return 200, body
        kind = path.removeprefix("/grafana/api/").partition("/")[0]
        if kind == "annotations":
            self.marks.append(body)
            self.writes.append(("mark", body["tags"][-1]))
            return 200, {"id": len(self.marks)}
        if kind == "datasources":
            secrets = body.pop("secureJsonData", {})
            self.secrets.setdefault(body["uid"], {}).update(secrets)
            # As Grafana does, it says which secrets it has and never what they are.
            fields = dict.fromkeys(self.secrets[body["uid"]], True)
            self.sources[body["uid"]] = {"id": 7, "readOnly": False, **body, "secureJsonFields": fields}
            self.writes.append(("source", body["uid"]))
            return 200, body
        if kind == "library-elements":
            kept = self.panels.get(body["uid"])
            if kept is not None and body["version"] != kept["version"]:
                return 412, {"message": "the library element has been changed by someone else"}
            version = kept["version"] + 1 if kept else 1
            self.panels[body["uid"]] = {**body, "version": version}
            self.writes.append(("panel", body["uid"]))
            return 200, {"result": self.panels[body["uid"]]}
        assert path == "/grafana/api/dashboards/db", path
        board, folder = body["dashboard"], body["folderUid"]
        if folder not in self.folders:
            return 400, {"message": "folder not found"}
        standing = self.boards.get(board["uid"])
        version = standing["dashboard"]["version"] if standing else 0
        if standing and board.get("version") != version and not body.get("overwrite"):
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        self.keep(board, folder, version + 1)
        self.writes.append(("board", board["uid"]))
        return 200, {"uid": board["uid"], "version": version + 1, "status": "success"}

    def keep(self, board: dict[str, Any], folder: str, version: int = 1) -> None:
        added = {"id": len(self.boards) + 100, "version": version, "weekStart": "", "preload": False}
        self.boards[board["uid"]] = {"dashboard": {**board, **added}, "folderUid": folder}

    def _refused(self, authorization: str) -> tuple[int, dict[str, Any]] | None:
        if self.failing:
            return self.failing, {"message": "out of order"}
        return None if authorization == f"Bearer {TOKEN}" else (401, {"message": "Unauthorized"})

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True, name="grafana").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
