"""Files of Iceberg tables: pyiceberg's own, but HDFS by hdfs-native, where it would ask for a JVM."""

from __future__ import annotations

from pyarrow.fs import FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO

from transforms.datasets.filesystem import for_arrow


class DatasetFileIO(PyArrowFileIO):
    """The `py-io-impl` of a catalog that names none."""

    def _initialize_fs(self, scheme: str, netloc: str | None = None) -> FileSystem:
        if scheme != "hdfs":
            return super()._initialize_fs(scheme, netloc)
        _, system = for_arrow([f"hdfs://{netloc or ''}/"])
        return system
