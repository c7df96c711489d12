"""A models file that is read, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.models_file import ConfigurationError, load
from transforms.models.model import Configuration


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read_text(text: str | bytes) -> Configuration:
        Path("models.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load("models.yaml")

    return read_text


@pytest.fixture
def problems(read):
    def problems_of(text: str | bytes) -> list[str]:
        with pytest.raises(ConfigurationError) as error:
            read(text)
        return str(error.value).splitlines()

    return problems_of
