"""The bodies of answers as typed values. Knows JSON and Prometheus's envelope, nothing of meters.

Label sets stay raw bytes: most series were seen in the last answer already, and a hash is cheaper than a dictionary.
Number texts stay text: floats are made where it is known that this is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from rating.core.counters import doubles


class VectorItem(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    value: tuple[float, str]


class MatrixItem(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: list[tuple[float, str]] = []


class RawItem(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: msgspec.Raw = msgspec.Raw(b"[]")


class Vector(msgspec.Struct, gc=False):
    result: list[VectorItem] = []


class Matrix(msgspec.Struct, gc=False):
    result: list[MatrixItem] = []


class RawMatrix(msgspec.Struct, gc=False):
    result: list[RawItem] = []


class RuntimeInfo(msgspec.Struct, rename="camel"):
    storage_retention: str = ""


class BuildInfo(msgspec.Struct):
    version: str = ""


class Reply(msgspec.Struct):
    """The envelope's own words, whatever the data is."""

    status: str
    error: str = ""
    error_type: str = msgspec.field(default="", name="errorType")
    warnings: list[str] = []
    infos: list[str] = []


class VectorReply(Reply):
    data: Vector = msgspec.field(default_factory=Vector)


class MatrixReply(Reply):
    data: Matrix = msgspec.field(default_factory=Matrix)


class RawReply(Reply):
    data: RawMatrix = msgspec.field(default_factory=RawMatrix)


class NamesReply(Reply):
    data: list[str] = []


class RuntimeReply(Reply):
    data: RuntimeInfo = msgspec.field(default_factory=RuntimeInfo)


class BuildReply(Reply):
    data: BuildInfo = msgspec.field(default_factory=BuildInfo)


AnyReply = TypeVar("AnyReply", bound=Reply)

_EMPTY = 2
"""Characters of an empty list."""
_PAIRS = msgspec.json.Decoder(list[tuple[float, str]])
_FLAT = msgspec.json.Decoder(list[float])
_LABELS = msgspec.json.Decoder(dict[str, str])


def labels(raw: msgspec.Raw | bytes) -> dict[str, str]:
    return _LABELS.decode(bytes(raw))


def pairs(raws: Sequence[msgspec.Raw]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of each series the number of its samples; of all of them, one after the other, seconds and values as float64.

    Raises:
        ValueError: a value is no number at all.
    """
    texts = [bytes(raw) for raw in raws]
    # Of a sample only the value stands in quotation marks.
    counts = [text.count(b'"') >> 1 for text in texts]
    flat = b",".join(text for text in texts if len(text) > _EMPTY).translate(None, b'[]"')
    try:
        found = np.array(_FLAT.decode(b"[" + flat + b"]"), dtype=np.float64)
    except msgspec.DecodeError:
        found = np.empty(0)
    if len(found) != 2 * sum(counts):
        # One of them is infinite or not a number, or spelled in an unusual way.
        decoded = [_PAIRS.decode(text) for text in texts]
        counts = [len(one) for one in decoded]
        flattened = [pair for one in decoded for pair in one]
        found = np.empty(2 * len(flattened))
        found[0::2] = [seconds for seconds, _ in flattened]
        found[1::2] = doubles([value for _, value in flattened])
    return np.array(counts, dtype=np.int64), found[0::2], found[1::2]
