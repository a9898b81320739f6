"""metrics.csv: one row at each logged step, exactly once however often the run was killed and resumed."""

import csv
import io
import os
from pathlib import Path

from dsin_tf import files


class MetricsFile:
    """A CSV file with the column "step" that grows by rows of ascending step."""

    def __init__(self, path, after_step=None):
        """Opens the file to append to it.

        Args:
          path: the file; it is made with the first row.
          after_step: rows of later steps, and half a row, are dropped first: the run goes on from this step and will
            write them again. None drops all.
        """
        self._path = Path(path)
        self._columns = None
        if self._path.is_file():
            if after_step is None:
                self._path.unlink()
            else:
                self._cut(after_step)

    def append(self, row):
        """Adds a row, {column: number or None}; it is on the disk when this returns.

        The first row decides on the columns.
        """
        if self._columns is None:
            self._columns = list(row)
            files.write_text(self._path, _line(self._columns))
        with open(self._path, "ab", buffering=0) as file:
            file.write(_line([_text(row.get(column)) for column in self._columns]).encode("utf-8"))
            os.fsync(file.fileno())

    def _cut(self, after_step):
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        if not whole:
            self._path.unlink()
            return
        self._columns = whole[0].rstrip("\n").split(",")
        place = self._columns.index("step")
        kept = [line for line in whole[1:] if int(line.split(",")[place]) <= after_step]
        files.write_text(self._path, "".join([whole[0], *kept]))


def read(path):
    """The rows of a metrics file: a list of {column: float, or None where it is empty}."""
    with open(path, encoding="utf-8", newline="") as file:
        return [{key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(file)]


def _line(cells):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _text(value):
    """Nine digits tell any two float32 apart."""
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.9g}"
