"""Samples to a server as a Prometheus beside the targets would forward them: remote write, staleness markers included.

Decides the order in which they are sent, which is time's; what the server does with late ones is the server's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import cramjam
import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from rating.errors import RatingError
from rating_demo.openmetrics import Series
from rating_demo.traffic import Integers, length

STALE = np.uint64(0x7FF0000000000002)
"""The one NaN by which Prometheus says that a series has ended."""

SLICE = timedelta(minutes=20)
"""Sent at once. A server takes a sample only while it is not much older than the latest it has."""

_SIX_BYTES = (1 << 35, 1 << 42)
"""Instants (milliseconds since the epoch) whose variable-length integer has six bytes: 1971 to 2109."""


class WriteRefused(RatingError):
    """The server did not take the samples; its own words are in the message."""


def send(url: str, series: Iterable[Series], progress: Callable[[int, int], None] = lambda done, of: None) -> int:
    """Send all samples, oldest first, and return how many there were, markers included.

    Args:
        progress: told after each request how many milliseconds of how many have been sent.

    Raises:
        WriteRefused: the server refused some, or does not answer.
    """
    columns = [(_labels(one), *_column(one)) for one in series]
    times = [times for _, times, _ in columns if len(times)]
    if not times:
        return 0
    first, last = min(int(each[0]) for each in times), max(int(each[-1]) for each in times)
    step = length(SLICE)
    with requests.Session() as session:
        # As the protocol asks of a sender: a server that is busy is asked again. The same samples twice are once.
        busy = Retry(total=5, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
        session.mount("http", HTTPAdapter(max_retries=busy))
        for start in range(first, last + 1, step):
            parts = []
            for labels, stamps, samples in columns:
                low, high = np.searchsorted(stamps, (start, start + step))
                if low < high:
                    parts.append(_field(1, labels + samples[low:high].tobytes()))
            if parts:
                _post(session, url, b"".join(parts))
            progress(min(start + step, last) - first, last - first)
    return sum(len(each) for each in times)


def _post(session: requests.Session, url: str, request: bytes) -> None:
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    try:
        body = bytes(cramjam.snappy.compress_raw(request))
        answer = session.post(url, data=body, headers=headers, timeout=120)
    except requests.RequestException as error:
        raise WriteRefused(
            f"{url} cannot be written to ({error}); is it running there, with remote write on?"
        ) from error
    if answer.status_code // 100 != 2:
        said = answer.text.strip()[:300]
        raise WriteRefused(f"{url} refused samples with status {answer.status_code}: {said}")


def _labels(series: Series) -> bytes:
    pairs = {"__name__": series.metric, **series.labels}
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(pairs.items())
        if value
    )


def _column(series: Series) -> tuple[Integers, np.ndarray]:
    """The stamps of samples and markers, and each as the bytes of a Sample field: all are equally long."""
    times = np.concatenate([series.times, series.stale])
    bits = np.concatenate([series.values.astype("<f8").view("<u8"), np.full(len(series.stale), STALE)])
    order = np.argsort(times, kind="stable")
    times, bits = times[order], bits[order]
    if len(times) and not (_SIX_BYTES[0] <= times[0] and times[-1] < _SIX_BYTES[1]):
        raise WriteRefused(f"samples of {series.metric} lie before 1971 or after 2109")
    sample = np.empty((len(times), 18), dtype=np.uint8)
    sample[:, :3] = (0x12, 16, 0x09)  # field 2 of the series, 16 bytes long: a Sample, whose field 1 is a double
    sample[:, 3:11] = bits.astype("<u8").view(np.uint8).reshape(-1, 8)
    sample[:, 11] = 0x10  # its field 2: an integer of variable length, seven bits to the byte
    for place in range(6):
        sample[:, 12 + place] = (times >> 7 * place & 0x7F) | (0x80 if place < 5 else 0)
    return times, sample


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, *_varint(len(content))]) + content


def _varint(number: int) -> Sequence[int]:
    result = []
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    return [*result, number]
