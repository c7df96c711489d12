"""Text for people: tables in columns as wide as what is in them, and numbers with their nouns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def print_columns(
    header: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str] = ()
) -> None:
    """Prints a table whose columns are as wide as what is in them. `right`: headers of columns that are
    aligned there, as numbers are."""
    lines = [list(map(str, line)) for line in (header, *rows)]
    columns = [(max(len(line[place]) for line in lines), name in right) for place, name in enumerate(header)]
    for line in lines:
        print(
            "  ".join(
                cell.rjust(width) if is_right else cell.ljust(width)
                for cell, (width, is_right) in zip(line, columns, strict=True)
            ).rstrip()
        )


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun, such as: 1 failure, 12,345 failures."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
