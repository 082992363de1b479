"""The bodies of answers as typed values. Knows JSON and Prometheus's envelope, nothing of meters.

Label sets stay raw bytes: most series were seen in the last answer already, and a hash is cheaper than a dictionary.
Number texts stay text: floats are made where it is known that this is exact.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec


class VectorItem(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    value: tuple[float, str]


class MatrixItem(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: list[tuple[float, str]] = []


class Vector(msgspec.Struct, gc=False):
    result: list[VectorItem] = []


class Matrix(msgspec.Struct, gc=False):
    result: list[MatrixItem] = []


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


class NamesReply(Reply):
    data: list[str] = []


class RuntimeReply(Reply):
    data: RuntimeInfo = msgspec.field(default_factory=RuntimeInfo)


class BuildReply(Reply):
    data: BuildInfo = msgspec.field(default_factory=BuildInfo)


AnyReply = TypeVar("AnyReply", bound=Reply)

_LABELS = msgspec.json.Decoder(dict[str, str])


def labels(raw: msgspec.Raw | bytes) -> dict[str, str]:
    return _LABELS.decode(bytes(raw))
