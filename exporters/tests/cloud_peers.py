"""The other side of three clouds: one small HTTP server each that answers in the provider's documented shape, in pages
of two, and refuses what the provider would refuse (path, filter, range, Authorization). No cloud account takes part."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 2
TOKEN = "t0ken-that-nobody-prints"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Answer(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class Peer:
    """A server and the figures it tells: `tell[name, moment] = requests`."""

    name: ClassVar[str]
    secret: ClassVar[str] = TOKEN

    def __init__(self) -> None:
        self.tell: dict[tuple[str, datetime], int] = {}
        self.throttle = 0  # so many requests are answered 429 first
        self.allow = True
        self.asked: list[str] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            wbufsize = 1 << 16  # head and body in one packet: in two, the second waits 40 ms for an acknowledgement

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                length = int(self.headers.get("Content-Length") or 0)
                form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
                peer.asked.append(unquote(self.path))
                try:
                    if peer.throttle > 0:
                        peer.throttle -= 1
                        raise peer.throttled()
                    status, body, headers = 200, peer.answer(unquote(parts.path), {**query, **form}, self.headers), {}
                except Answer as other:
                    status, body, headers = other.status, other.body, other.headers
                text = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json"}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def throttled(self) -> Answer:
        return Answer(429, {"error": {"message": "Too many requests"}}, Retry_After="0")

    def bearer(self, headers: Any) -> None:
        if headers.get("Authorization") != f"Bearer {TOKEN}" or not self.allow:
            raise Answer(401, {"error": {"code": "Unauthenticated", "message": "the token is not good"}})

    def answer(self, path: str, query: dict[str, str], headers: Any) -> Any:
        raise NotImplementedError

    def told(self, start: datetime, end: datetime) -> list[tuple[str, datetime, int]]:
        return sorted((who, at, amount) for (who, at), amount in self.tell.items() if start <= at < end)


class Aws(Peer):
    name, secret = "aws", "s3cret-that-nobody-prints"
    environment: ClassVar = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": secret}

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, dict[str, Any]] = {}
        self.by_value = False

    def options(self) -> list[str]:
        return ["aws", "--region", "eu-west-1", "--url", self.url]

    def throttled(self) -> Answer:
        return Answer(429, {"message": "Too Many Requests"}, x_amzn_ErrorType="TooManyRequestsException")

    def answer(self, path: str, query: dict[str, str], headers: Any) -> Any:
        scope = "Credential=AKIATEST/"
        signed = headers.get("Authorization", "")
        if scope not in signed or "/eu-west-1/apigateway/aws4_request" not in signed or not self.allow:
            raise Answer(403, {"message": "not authorized"}, x_amzn_ErrorType="AccessDeniedException")
        for who, _ in self.tell:
            self.keys.setdefault(who, {"id": f"id-{who}", "name": who, "value": f"value-of-{who}"})
        if path == "/usageplans":
            return {"item": [{"id": "p1", "name": "gold"}]}
        if path == "/apikeys":
            hide = () if query["includeValues"] == "true" else ("value",)
            keys = [{n: v for n, v in key.items() if n not in hide} for key in self.keys.values() if "gone" not in key]
            return self._page(keys, query, "item")
        assert path == "/usageplans/p1/usage", path
        first, last = (datetime.fromisoformat(query[name]).replace(tzinfo=UTC) for name in ("startDate", "endDate"))
        if last - first >= 90 * DAY:
            raise Answer(400, {"message": "at most 90 days"}, x_amzn_ErrorType="BadRequestException")
        days = int((last - first) / DAY) + 1
        used: dict[str, list[list[int]]] = {}
        for who, at, amount in self.told(first, last + DAY):
            key = self.keys[who]["value" if self.by_value else "id"]
            used.setdefault(key, [[0, 1000] for _ in range(days)])[int((at - first) / DAY)][0] += amount
        page = self._page(sorted(used.items()), query, "values")
        return {
            **page,
            "values": dict(page["values"]),
            "usagePlanId": "p1",
            "startDate": query["startDate"],
            "endDate": query["endDate"],
        }

    def _page(self, items: list[Any], query: dict[str, str], field: str) -> dict[str, Any]:
        begin = int(query.get("position", 0))
        more = {"position": str(begin + PAGE)} if begin + PAGE < len(items) else {}
        return {field: items[begin : begin + PAGE], **more}


class Azure(Peer):
    name = "azure"
    environment: ClassVar = {"AZURE_ACCESS_TOKEN": TOKEN}
    service = "/subscriptions/sub-1/resourceGroups/rg/providers/Microsoft.ApiManagement/service/apim1"
    next_at = ""  # where the next page is said to be; here
    moved_to = ""

    def options(self) -> list[str]:
        return ["azure", "--service", self.service, "--url", self.url, "--login-url", self.url]

    def answer(self, path: str, query: dict[str, str], headers: Any) -> Any:
        if path == "/tenant-1/oauth2/v2.0/token":
            assert (query["grant_type"], query["scope"]) == (
                "client_credentials",
                "https://management.azure.com/.default",
            )
            if (query["client_id"], query["client_secret"]) != ("app-1", "app-secret"):
                raise Answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid secret."})
            return {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
        self.bearer(headers)
        if self.moved_to:
            raise Answer(302, {}, Location=self.moved_to)
        assert path == f"{self.service}/reports/bySubscription", path
        assert query["api-version"] == "2022-08-01"
        stated = re.fullmatch(r"timestamp ge datetime'(\S+)' and timestamp le datetime'(\S+)'", query["$filter"])
        assert stated is not None, query
        start, last = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in stated.groups())
        totals: dict[str, int] = {}
        for who, _, amount in self.told(start, last + timedelta(seconds=1)):
            totals[who] = totals.get(who, 0) + amount
        rows = [
            {
                "name": f"Subscription of {who}",
                "userId": f"/users/u-{who}",
                "productId": "/products/gold",
                "subscriptionId": f"/subscriptions/{who}",
                "callCountSuccess": amount,
                "callCountBlocked": 1,
                "callCountFailed": 4,
                "callCountOther": 0,
                "callCountTotal": amount + 5,
                "bandwidth": 11019,
                "apiTimeAvg": 1015.76,
            }
            for who, amount in sorted(totals.items())
        ]
        begin = int(query.get("$skip", 0))
        following = ""
        if begin + PAGE < len(rows):
            whole = self.asked[-1].partition("&$skip")[0].replace(" ", "%20")
            following = f"{self.next_at or self.url}{whole}&$skip={begin + PAGE}"
        return {"value": rows[begin : begin + PAGE], "count": len(rows), "nextLink": following}


class Apigee(Peer):
    name = "apigee"
    environment: ClassVar = {"APIGEE_ACCESS_TOKEN": TOKEN}
    spoilt: dict[str, Any] | None = None  # answered in place of figures

    def options(self) -> list[str]:
        return ["apigee", "--organization", "acme", "--environment", "prod", "--url", self.url]

    def answer(self, path: str, query: dict[str, str], headers: Any) -> Any:
        self.bearer(headers)
        stats = re.fullmatch(
            r"/v1/organizations/acme/environments/prod/stats/(developer_app|developer_email),api_product", path
        )
        assert stats is not None, path
        if self.spoilt is not None:
            return self.spoilt
        assert query["select"] == "sum(message_count)"
        start, end = (
            datetime.strptime(text, "%m/%d/%Y %H:%M").replace(tzinfo=UTC) for text in query["timeRange"].split("~")
        )
        unit = {"day": DAY, "hour": HOUR}[query["timeUnit"]]
        buckets: dict[tuple[str, datetime], int] = {}
        # The bucket that begins at the end comes too, with what little of it was asked for.
        for who, at, amount in self.told(start, end + unit):
            bucket = start + (at - start) // unit * unit
            buckets[who, bucket] = buckets.get((who, bucket), 0) + (amount if bucket < end else 1)
        rows = [
            {
                "name": f"{who},gold",
                "individualNames": [who, "gold"],
                "metrics": [
                    {
                        "name": "sum(message_count)",
                        "values": [
                            {"timestamp": int(at.timestamp() * 1000), "value": f"{amount}.0"}
                            for (one, at), amount in sorted(buckets.items(), reverse=True)
                            if one == who
                        ],
                    }
                ],
            }
            for who in sorted({who for who, _ in buckets})
        ]
        begin = int(query["offset"])
        return {
            "environments": [{"name": "prod", "dimensions": rows[begin : begin + int(query["limit"])]}],
            "metaData": {"errors": [], "notices": ["query served by:test"]},
        }


PEERS: dict[str, type[Peer]] = {"aws": Aws, "azure": Azure, "apigee": Apigee}
