"""Kafka's record batches as bytes: enough of its protocol to write one in the name of another producer, which
no client does."""

from __future__ import annotations

import socket
import struct
from functools import cache

_EPOCH_AT, _SEQUENCE_AT, _CRC_AT, _CHECKED_FROM = 51, 53, 17, 21
_LENGTH_AT, _OVERHEAD = 8, 12
_PRODUCE, _VERSION = 0, 3
_LATER = 1_000


def last_batch(segment: bytes) -> bytes | None:
    """Of a log segment's bytes."""
    last, at = None, 0
    while at + _OVERHEAD < len(segment):
        (length,) = struct.unpack_from(">i", segment, at + _LENGTH_AT)
        if length <= 0 or at + _OVERHEAD + length > len(segment):
            break
        last, at = segment[at : at + _OVERHEAD + length], at + _OVERHEAD + length
    return last


def with_later_epoch(batch: bytes) -> bytes:
    """The same records as of a later incarnation of their producer. Not of the next, which a producer that is
    told becomes by itself: the broker would take its first batch for a repeat of this one."""
    changed = bytearray(batch)
    (epoch,) = struct.unpack_from(">h", batch, _EPOCH_AT)
    struct.pack_into(">q", changed, 0, 0)
    struct.pack_into(">h", changed, _EPOCH_AT, epoch + _LATER)
    struct.pack_into(">i", changed, _SEQUENCE_AT, 0)
    struct.pack_into(">I", changed, _CRC_AT, _crc32c(bytes(changed[_CHECKED_FROM:])))
    return bytes(changed)


def produce(address: str, topic: str, batch: bytes) -> int:
    """Writes a batch to partition 0; gives Kafka's error code."""
    name = topic.encode()
    body = struct.pack(">hhih", _PRODUCE, _VERSION, 1, -1) + struct.pack(">hhi", -1, -1, 10_000)
    body += struct.pack(">ih", 1, len(name)) + name + struct.pack(">iii", 1, 0, len(batch)) + batch
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as answer:
            (size,) = struct.unpack(">i", answer.read(4))
            told = answer.read(size)
    (code,) = struct.unpack_from(">h", told, 4 + 4 + 2 + len(name) + 4 + 4)
    return int(code)


def _crc32c(data: bytes) -> int:
    value, table = 0xFFFFFFFF, _table()
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


@cache
def _table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return table
