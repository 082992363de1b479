"""Frames and chunks of a remote read: what was written is read, by Python and machine code alike; damage is seen."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from rating.adapters.prometheus.remote import chunks, compiled
from tests.adapters.prometheus import encoding
from tests.adapters.prometheus.encoding import Samples, double

EVER = 1 << 62
DECODERS = {"Python": chunks.decode, "machine code": compiled.decode}
Decode = Callable[[bytes | bytearray, bool, int, int], chunks.Decoded]

readings = some.one_of(
    some.integers(0, 2**53).map(float),
    some.floats(allow_nan=False, allow_infinity=False),
    some.sampled_from([0.0, 1.0, 1e300]),
).map(double)
steps = some.one_of(some.just(15_000), some.integers(1, 40_000), some.integers(1, 2**34), some.just(2**44))


@some.composite
def rows(draw: some.DrawFn) -> list[tuple[int, int]]:
    values = draw(some.lists(readings | some.just(chunks.STALE), min_size=1, max_size=30))
    time, found = draw(some.integers(-(2**40), 2**41)), []
    for value in values:
        found.append((time, value))
        time += draw(steps)
    return found


def written(series: Sequence[Samples], size: int = 7) -> bytes:
    """Each series in chunks of `size` samples, two chunks to a frame."""
    answer = b""
    for number, samples in enumerate(series):
        parts = [encoding.chunk(samples[at : at + size]) for at in range(0, len(samples), size)]
        name = {"__name__": "m_total", "consumer": f"c{number}"}
        answer += b"".join(encoding.frame(encoding.message(name, parts[at : at + 2])) for at in range(0, len(parts), 2))
    return answer


def plain(decoded: chunks.Decoded) -> list[list[tuple[int, int]]]:
    """The samples of each series."""
    assert decoded.code == chunks.WELL
    bits = decoded.values.view(np.uint64).tolist()
    pairs = list(zip(decoded.times.tolist(), bits, strict=True))
    return [pairs[start:end] for start, end in zip(decoded.bounds[:-1], decoded.bounds[1:], strict=True)]


@settings(max_examples=150, deadline=None)
@given(some.lists(rows(), max_size=4), some.integers(1, 9))
def test_what_is_written_is_read(series: list[list[tuple[int, int]]], size: int) -> None:
    answer = written(series, size)
    kept = [[sample for sample in samples if sample[1] != chunks.STALE] for samples in series]
    for decode in DECODERS.values():
        decoded = decode(answer, True, -EVER, EVER)
        assert plain(decoded) == kept
        assert decoded.consumed == len(answer)
        heads = [chunks.labels(answer[start:end]) for start, end in decoded.heads.tolist()]
        assert heads == [{"__name__": "m_total", "consumer": f"c{number}"} for number in range(len(series))]


@given(some.dictionaries(some.text(max_size=4) | some.text(min_size=100, max_size=150), some.text(max_size=200)))
def test_labels_are_read_however_long_they_are(labels: dict[str, str]) -> None:
    told = encoding.labels(labels)
    assert chunks.labels(told) == labels
    # Something unknown in between, as a later protocol may bring it, is passed over.
    assert chunks.labels(told + encoding.field(1, encoding.field(1, b"new") + encoding.field(3, 7))) == {
        **labels,
        "new": "",
    }


@settings(max_examples=100, deadline=None)
@given(some.lists(rows(), min_size=1, max_size=3), some.integers(-(2**40), 2**41), some.integers(0, 2**36))
def test_only_what_was_asked_for_is_kept(series: list[list[tuple[int, int]]], low: int, length: int) -> None:
    for decode in DECODERS.values():
        found = plain(decode(written(series), True, low, low + length))
        assert found == [
            [(time, bits) for time, bits in samples if low <= time < low + length and bits != chunks.STALE]
            for samples in series
        ]


@settings(max_examples=100, deadline=None)
@given(some.lists(rows(), min_size=1, max_size=3), some.randoms(use_true_random=False))
def test_however_the_bytes_arrive_the_series_are_the_same(
    series: list[list[tuple[int, int]]], rng: random.Random
) -> None:
    answer = written(series)
    for decode in DECODERS.values():
        found: list[list[tuple[int, int]]] = []
        buffer, sent = bytearray(), 0
        while sent < len(answer):
            step = rng.randrange(1, 200)
            buffer += answer[sent : sent + step]
            sent += step
            decoded = decode(buffer, sent >= len(answer), -EVER, EVER)
            found += plain(decoded)
            buffer = buffer[decoded.consumed :]
        assert found == plain(DECODERS["Python"](answer, True, -EVER, EVER))
        assert not buffer


@settings(max_examples=200, deadline=None)
@given(some.lists(rows(), min_size=1, max_size=2), some.data())
def test_whatever_is_damaged_both_say_the_same_and_never_more_than_was_written(
    series: list[list[tuple[int, int]]], data: some.DataObject
) -> None:
    """A byte changed with its sum put right again, so that the damage reaches the decoders: no crash, one verdict."""
    content = bytearray(encoding.message({"a": "b"}, [encoding.chunk(samples) for samples in series]))
    place = data.draw(some.integers(0, len(content) - 1))
    content[place] = data.draw(some.integers(0, 255))
    answer = encoding.frame(bytes(content))
    slow, fast = (decode(answer, True, -EVER, EVER) for decode in DECODERS.values())
    assert (slow.code, slow.where, slow.consumed) == (fast.code, fast.where, fast.consumed)
    for one, other in zip(slow[3:5], fast[3:5], strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(slow.times, fast.times)
    assert np.array_equal(slow.values.view(np.uint64), fast.values.view(np.uint64))


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS.keys())
class TestDamage:
    SAMPLES = tuple((1_790_812_800_000 + 15_000 * n, double(7.0 * n)) for n in range(20))
    GOOD = encoding.frame(encoding.message({"a": "b"}, [encoding.chunk(SAMPLES)]))

    def code(self, decode: Decode, answer: bytes) -> int:
        return decode(answer, True, -EVER, EVER).code

    def test_every_single_changed_byte_of_a_message_is_noticed_by_its_sum(self, decode: Decode) -> None:
        for place in range(5, len(self.GOOD)):
            spoiled = bytearray(self.GOOD)
            spoiled[place] ^= 0x10
            assert self.code(decode, bytes(spoiled)) == chunks.BAD_SUM

    def test_an_answer_cut_anywhere_is_not_taken_for_whole(self, decode: Decode) -> None:
        for end in range(1, len(self.GOOD)):
            decoded = decode(self.GOOD[:end], True, -EVER, EVER)
            assert (decoded.code, decoded.consumed, len(decoded.heads)) == (chunks.WELL, 0, 0)

    @pytest.mark.parametrize(
        ("encoded", "said"),
        [
            (0, chunks.UNKNOWN_ENCODING),
            (2, chunks.NOT_A_COUNTER),
            (3, chunks.NOT_A_COUNTER),
            (9, chunks.UNKNOWN_ENCODING),
        ],
    )
    def test_chunks_of_another_kind_are_named(self, decode: Decode, encoded: int, said: int) -> None:
        frame = encoding.frame(encoding.message({"a": "b"}, [encoding.chunk(self.SAMPLES)], encoded))
        decoded = decode(self.GOOD + frame, True, -EVER, EVER)
        assert (decoded.code, decoded.where, len(decoded.heads)) == (said, encoded, 0)

    def test_a_chunk_that_promises_more_samples_than_it_has(self, decode: Decode) -> None:
        chunk = bytearray(encoding.chunk(self.SAMPLES))
        chunk[1] += 9
        assert self.code(decode, encoding.frame(encoding.message({"a": "b"}, [bytes(chunk)]))) == chunks.BAD_CHUNK

    @pytest.mark.parametrize("content", [b"\x0a\xff", b"\x0a\x05\x0a", b"\x22\x00", b"\x0f\x01", b"\xff" * 11])
    def test_what_is_no_message(self, decode: Decode, content: bytes) -> None:
        assert self.code(decode, encoding.frame(content)) == chunks.BAD_MESSAGE

    def test_overlapping_chunks_are_laid_in_order_and_the_first_sample_of_an_instant_counts(
        self, decode: Decode
    ) -> None:
        early, late = self.SAMPLES[:12], tuple((time, double(1.0)) for time, _ in self.SAMPLES[8:])
        answer = encoding.frame(encoding.message({"a": "b"}, [encoding.chunk(early), encoding.chunk(late)]))
        (found,) = plain(decode(answer, True, -EVER, EVER))
        assert found == [*early, *late[4:]]


@given(some.binary(max_size=3000), some.lists(some.integers(0, 3000), max_size=6), some.integers(1, 700))
def test_https_own_chunks_are_taken_away_however_they_arrive(content: bytes, cuts: list[int], step: int) -> None:
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    parts = [content[start:end] for start, end in pairwise(edges)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    held, left, found, at = bytearray(), 0, b"", 0
    while left != -1:
        assert at < len(wire)
        held += wire[at : at + step]
        at += step
        done, out, left = compiled.unchunked(held, left)
        held, found = held[done:], found + out
    assert found == content


def test_what_is_not_in_https_chunks_is_noticed() -> None:
    assert compiled.unchunked(bytearray(b"HTTP/1.1 500 oops\r\n"), 0)[2] == -2
