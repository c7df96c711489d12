"""Text for people: tables in columns as wide as what is in them, and numbers with their nouns."""

from __future__ import annotations

from collections.abc import Sequence


def print_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def counted(count: int, noun: str) -> str:
    """Such as: 1 failure, 12,345 failures."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
