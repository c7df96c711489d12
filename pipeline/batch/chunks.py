"""Input files that go through the steps together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transforms.datasets.event_files import InputFile

_CHUNK_BYTES = 64_000_000  # some 200,000 events in Parquet


def partitions_of(files: Sequence[InputFile]) -> list[str]:
    """Returns the partitions of files, each once; not of those whose place does not tell it."""
    return list(dict.fromkeys(file.partition for file in files if file.partition))


def chunks(files: Sequence[InputFile]) -> Iterator[list[InputFile]]:
    """Yields whole partitions, as many as make a good load; all, where a place does not tell the
    partition."""
    if any(file.partition is None for file in files):
        yield list(files)
        return
    chunk: list[InputFile] = []
    size = 0
    by_partition = sorted(files, key=lambda file: (file.partition or "", file.path))
    for before, file in zip([None, *by_partition], by_partition, strict=False):
        if before and before.partition != file.partition and size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += file.size
    yield chunk
