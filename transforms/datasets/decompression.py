"""Compressed files by their first bytes: gzip, zlib, bzip2, xz, zstandard, lz4 and snappy, and what Hadoop's
codecs make of the last two.

What is whole before the place where a file is cut or damaged is read.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import cramjam
import lz4.block
import lz4.frame
import zstandard

_CHUNK = 16_384  # bytes, of which a damaged one is lost
_LARGEST_BLOCK = 64 << 20  # bytes, of what Hadoop's codecs compress at once
_SNAPPY_FRAMES = b"\xff\x06\x00\x00sNaPpY"
# the objects of all these have the same methods
_STREAMS: list[tuple[re.Pattern[bytes], Callable[[], Any]]] = [
    (re.compile(rb"\x1f\x8b"), lambda: zlib.decompressobj(31)),
    (re.compile(rb"\x78[\x01\x5e\x9c\xda]"), zlib.decompressobj),  # Hadoop's .deflate
    (re.compile(rb"BZh[1-9]"), bz2.BZ2Decompressor),
    (re.compile(rb"\xfd7zXZ\x00"), lzma.LZMADecompressor),
    (
        re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
        lambda: zstandard.ZstdDecompressor().decompressobj(),
    ),
    (re.compile(rb"\x04\x22\x4d\x18"), lz4.frame.LZ4FrameDecompressor),
]


class TrailingBytesError(ValueError):
    """After the end of what was compressed there is something else."""


def decompressed(file: BinaryIO, head: bytes, path: str) -> BinaryIO | None:
    """Returns the content of a file that begins with `head`, or None when it is not compressed. Reading it
    raises what the codec raises, EOFError when it is cut, and TrailingBytesError."""
    for magic, new in _STREAMS:
        if magic.match(head):
            return _reader(_streams(file, magic, new))
    if head.startswith(_SNAPPY_FRAMES):
        return _reader(bytes(cramjam.snappy.decompress(file.read())) for _ in range(1))
    if block := _hadoop_codec(head, path):
        return _reader(_blocks(file, block))
    return None


def _streams(file: BinaryIO, magic: re.Pattern[bytes], new: Callable[[], Any]) -> Iterator[bytes]:
    """Yields one compressed stream after the other; between and after them there may be zeros, as tapes and
    gzip know them."""
    stream, data = new(), b""
    while data := data or file.read(_CHUNK):
        if stream.eof:
            data = data.lstrip(b"\0")
            if not data:
                continue
            data += file.read(_CHUNK)
            if not magic.match(data):
                raise TrailingBytesError(
                    f"after the end of what is compressed come other bytes: {data[:12]!r}"
                )
            stream = new()
        yield stream.decompress(data)
        data = stream.unused_data or b"" if stream.eof else b""
    if not stream.eof:
        raise EOFError("Compressed file ended before the end-of-stream marker was reached")


def _hadoop_codec(head: bytes, path: str) -> Callable[[bytes, int], bytes] | None:
    """Returns the codec of Hadoop's by which a file is compressed, if any: its snappy and lz4 have no magic
    bytes, and the first block tells."""
    whole, size = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    if not 0 < whole <= _LARGEST_BLOCK or not 0 < size <= whole + whole // 6 + 64:
        return None
    if len(head) < 8 + size:  # the first block is longer than what was looked at
        return _snappy if ".snappy" in path else _lz4 if ".lz4" in path else None
    for codec in (_snappy, _lz4):
        try:
            if codec(head[8 : 8 + size], whole):
                return codec
        except Exception:  # of the other codec, or of none
            continue
    return None


def _snappy(block: bytes, room: int) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(block))


def _lz4(block: bytes, room: int) -> bytes:
    return cast(bytes, lz4.block.decompress(block, uncompressed_size=room))


def _blocks(file: BinaryIO, codec: Callable[[bytes, int], bytes]) -> Iterator[bytes]:
    while head := file.read(4):
        left = int.from_bytes(head, "big")
        if len(head) < 4 or left > _LARGEST_BLOCK:
            raise ValueError(f"a block of {left} bytes; expected at most {_LARGEST_BLOCK}")
        while left:
            size = int.from_bytes(_exactly(file, 4), "big")
            block = codec(_exactly(file, min(size, 2 * _LARGEST_BLOCK)), left)
            if not 0 < len(block) <= left:
                raise ValueError(f"a block of {len(block)} bytes; expected {left}")
            left -= len(block)
            yield block


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("Compressed file ended before the end of a block was reached")
    return data


def _reader(chunks: Iterator[bytes]) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Chunks(chunks), io.DEFAULT_BUFFER_SIZE * 8))


class _Chunks(io.RawIOBase):
    """Bytes as they come, as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
