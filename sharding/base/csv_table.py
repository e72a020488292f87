"""CSV in UTF-8 with a header, read and written, whatever the columns mean. Anyone may import this.

Read: rows with their line numbers; byte order marks, Windows line ends, empty lines and blanks around a cell do not
matter. Written: dataclasses, a row each.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from sharding.base.files import publish
from sharding.errors import InputError

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")


class CsvTable:
    """An open table. Raises InputError naming file and line of what is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
        self._lines = self._filled(text)
        self.header = [name.lower() for name in next(self._lines, (0, []))[1]]
        """Names of the columns, in lower case; [] when the file is empty."""

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """(line, column -> cell) of each row, once."""
        for line, cells in self._lines:
            if len(cells) != len(self.header):
                raise InputError(
                    f"{self.path}, line {line}: {len(cells)} columns, the header has {len(self.header)}; "
                    'put a text that holds commas in "quotes"'
                )
            yield line, dict(zip(self.header, cells, strict=True))

    def _filled(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Lines that hold something."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    yield reader.line_num, cells
        except csv.Error as error:
            raise InputError(f"{self.path}, line {reader.line_num}: {error}") from error


def control_character(text: str) -> str:
    """The first one in `text`; empty when there is none. They would garble tables and plots; a NUL ends every path."""
    found = _CONTROL.search(text)
    return found.group() if found else ""


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV with Unix line ends. None is an empty cell; bytes of names that are no text stay as they are."""
    file = io.BytesIO()
    _write_rows(file, header, rows)
    return file.getvalue()


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """The same as a file that is whole when it has its name; rows are asked for one by one."""
    with publish(path) as file:
        _write_rows(file, header, rows)


def _write_rows(file: BinaryIO, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    writer = csv.writer(_Encoded(file), lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A file for text, line by line."""

    file: BinaryIO

    def write(self, text: str) -> int:
        return self.file.write(text.encode(errors="surrogateescape"))


def write_records(path: Path, kind: type[Any], records: Iterable[Any]) -> None:
    """Dataclasses of one kind as a CSV: a column for each field."""
    write_csv(path, [field.name for field in fields(kind)], map(astuple, records))
