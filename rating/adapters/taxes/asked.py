"""A tax service over HTTP: one POST per invoice. Decides nothing and remembers nothing; see README.md for the JSON."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import requests

from rating.adapters.taxes.exchange import question_json, read_answer
from rating.core.taxation import TaxDecision, TaxQuestion
from rating.errors import EdgeRefused, EdgeUnavailable, NoTaxRuleCovers

_UNDECIDED = 422
"""Understood, and it cannot say."""


class AskedTaxes:
    """Keeps the promises of `ports.TaxService`.

    Args:
        url: where questions are posted.
        token: sent as Authorization: Bearer; may be empty.
        timeout: seconds for the connection, and for each read of the answer.
    """

    def __init__(self, url: str, token: str = "", timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        # Without user and password: this is printed and kept in the book.
        self._where = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EdgeRefused(f"{self._where!r} is not an address of a tax service; write https://tax.example/decide")
        self._url, self._timeout = url, timeout
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def decide(self, question: TaxQuestion) -> TaxDecision | None:
        what = f"tax service {self._where}"
        try:
            # The key lets a service that counts or charges by question know a repeated one.
            answer = self._session.post(
                self._url,
                json=question_json(question),
                headers={"Idempotency-Key": question.invoice},
                timeout=self._timeout,
                allow_redirects=False,
            )
            body = answer.content
        except requests.RequestException as error:
            raise EdgeUnavailable(f"{what} cannot be reached: {type(error).__name__}; the invoice waits") from error
        said = " ".join(body[:200].decode(errors="replace").split())
        if answer.status_code == _UNDECIDED:
            raise NoTaxRuleCovers(f"{what} cannot say how {question.customer} is taxed: {said}")
        if answer.status_code == 429 or answer.status_code >= 500:
            raise EdgeUnavailable(f"{what} failed with {answer.status_code}: {said}; the invoice waits")
        if answer.status_code != 200:
            raise EdgeRefused(f"{what} refused with {answer.status_code}: {said}; check RATING_TAX_URL and its token")
        return read_answer(body, self._where)
