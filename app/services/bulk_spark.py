"""The Spark engine of bulk jobs. Imports PySpark only when it is asked for.

Promises: workers call the very function of the in-process engine through `mapInArrow`, read their
part of the input themselves and write it into the job's folder (a path every worker must share);
they never open the database. What crosses to the JVM are a few numbers per part.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.errors import Invalid, Unavailable
from app.services.bulk_parts import run_batches
from app.settings import PROJECT

JAVA_LEAST = 17
_VERSION = re.compile(r'version "(\d+)(?:\.(\d+))?')


def java_version(text: str) -> int | None:
    """Major version in what `java -version` prints.

    >>> java_version('openjdk version "17.0.15" 2025-04-15'), java_version('java version "1.8.0_402"')
    (17, 8)
    """
    found = _VERSION.search(text)
    if found is None:
        return None
    major, minor = int(found[1]), int(found[2] or 0)
    return minor if major == 1 else major


def check_java() -> int:
    """Major version of the Java that Spark would run on.

    Raises
    ------
    Unavailable
        There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = Path(home) / "bin" / "java" if home else shutil.which("java")
    advice = f"install Java {JAVA_LEAST} or newer and set JAVA_HOME, or use --engine local"
    where = f"JAVA_HOME is {home}" if home else "no `java` on the PATH"
    if java is None or not Path(java).is_file():
        raise Unavailable(f"Spark needs Java and there is none ({where}): {advice}")
    try:
        said = subprocess.run(  # noqa: S603 - a path, no shell
            [str(java), "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{java} does not run: {error}; {advice}") from error
    version = java_version(said.stderr + said.stdout)
    if version is None:
        raise Unavailable(f"{java} does not tell its version: {advice}")
    if version < JAVA_LEAST:
        raise Unavailable(f"Spark needs Java {JAVA_LEAST} and {java} is Java {version}: {advice}")
    return version


def check_pyspark() -> None:
    """Do nothing when PySpark is there.

    Raises
    ------
    Unavailable
        It is not installed.
    """
    try:
        import pyspark  # noqa: F401
    except ImportError as error:
        raise Unavailable(
            "PySpark is not installed: `pip install 'wusetu[spark]'`, or use --engine local"
        ) from error


def run_spark(
    folder: Path, numbers: Sequence[int], master: str
) -> Iterator[tuple[int, int, int, str | None]]:
    """Do parts of a job on Spark; part, rows, rejected and error of each as they are finished.

    Parameters
    ----------
    folder : Path
        Of the job; the driver and every worker must see it under this path.
    numbers : parts to do
    master : `local[2]`, `spark://host:7077`, `yarn`, `k8s://…`

    Raises
    ------
    Unavailable
        Java or PySpark is missing, or Spark cannot be started.
    """
    check_java()
    check_pyspark()
    session = _session(master)
    try:
        tasks = session.createDataFrame(
            [(str(folder), int(number)) for number in numbers], "job string, part int"
        ).repartitionByRange(len(numbers), "part")
        done = tasks.mapInArrow(run_batches, "part int, rows long, rejected long, error string")
        try:
            for row in done.toLocalIterator(prefetchPartitions=True):
                yield row.part, row.rows, row.rejected, row.error
        except Exception as error:
            raise Unavailable(f"Spark gave up: {str(error).strip().splitlines()[0]}") from error
    finally:
        session.stop()


def _cause(text: str) -> str:
    r"""Line of a Java trace that says most: the last error of a Python worker, else the first line.

    >>> _cause("at a.b()\\nE Traceback:\\n  File x\\nOSError: disk full\\n\\tat c.d()")
    'OSError: disk full'
    """
    lines = text.strip().splitlines()
    errors = [
        line.strip() for line in lines if re.match(r"\s*[A-Za-z_.]*(Error|Exception): ", line)
    ]
    python = [line for line in errors if not line.startswith(("org.", "java.", "py4j."))]
    return (python or errors or lines)[-1 if python else 0]


def _session(master: str) -> Any:
    from pyspark.sql import SparkSession

    # the workers need this very program; on a cluster it is installed there
    path = os.pathsep.join(dict.fromkeys([str(PROJECT), *filter(None, sys.path)]))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    if not re.fullmatch(r"local(\[[\d*,]+\])?|spark://.+|yarn|k8s://.+", master):
        raise Invalid(f"master {master!r} is none: local[2], spark://host:7077, yarn or k8s://…")
    builder = (
        SparkSession.builder.master(master)
        .appName("wusetu bulk")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "1")
        .config("spark.task.maxFailures", "1" if master.startswith("local") else "4")
    )
    if master.startswith("local"):
        builder = builder.config("spark.executorEnv.PYTHONPATH", path).config(
            "spark.driver.host", "127.0.0.1"
        )
        os.environ["PYTHONPATH"] = path
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise Unavailable(f"Spark cannot be started: {str(error).splitlines()[0]}") from error
    session.sparkContext.setLogLevel("ERROR")
    return session
