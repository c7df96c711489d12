"""One real HDFS on this machine, a NameNode and a DataNode in one process, for the tests and a first try:
`python -m runners.local_hdfs`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.options import option
from pipeline.process.child_process import Server, ServerError, check_free, find_java, free_port
from pipeline.process.signals import end_if_told_to_stop, stop_on_signals
from runners.command_line import parse

_FOLDER = Path(__file__).parent / "hdfs"
JARS = _FOLDER / "target" / "jars"
_PATIENCE_S = 60


class LocalHdfs(Server):
    """HDFS with its data below `folder`; started again, it has what it had."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        if not JARS.is_dir():
            raise FileNotFoundError(f"no Hadoop jars in {JARS}; build them: make hdfs")
        folder.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        program = [str(_FOLDER / "LocalHdfs.java"), str(port), str(folder / "data")]
        command = [find_java(), "-Xmx512m", "-cp", f"{JARS}/*", *program]
        super().__init__("HDFS", command, port, folder / "hdfs.log")
        self.url = f"hdfs://{self.address}"

    def wait(self) -> None:
        """Returns when the DataNode has reported, too."""
        super().wait()
        deadline = time.monotonic() + _PATIENCE_S
        while b"HDFS is up" not in self.log.read_bytes():
            end_if_told_to_stop()
            if not self.is_running or time.monotonic() > deadline:
                self.stop()
                raise ServerError(f"{self.name} did not start; {self.last_output}")
            time.sleep(0.05)

    def administer(self, *arguments: str) -> None:
        """Runs `hdfs dfsadmin` with these arguments. Raises subprocess.CalledProcessError."""
        program = ["org.apache.hadoop.hdfs.tools.DFSAdmin", "-fs", self.url, *arguments]
        subprocess.run([find_java(), "-cp", f"{JARS}/*", *program], check=True, capture_output=True)

    def kill(self) -> None:
        """Kills it, as a power cut would."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@dataclass(frozen=True, kw_only=True)
class Options:
    folder: Path = option(
        "--folder", type=Path, default=Path("hdfs"), metavar="DIR", help="its data and log (default: hdfs)"
    )
    port: int = option("--port", type=int, default=8020, help="0: any free one (default: 8020)")


def main() -> int:
    options = parse(Options, "local_hdfs", "A NameNode and a DataNode on this machine.")
    folder = options.folder.resolve()
    stop = stop_on_signals()
    try:
        check_free("--port", options.port)
        with LocalHdfs(folder, options.port or None) as hdfs:
            print(f"HDFS at {hdfs.url}, data in {folder}; Ctrl-C stops", flush=True)
            stop.wait()
    except (ServerError, FileNotFoundError) as error:
        print(f"local_hdfs: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
