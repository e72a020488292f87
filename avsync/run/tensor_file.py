"""A file of tensors, model.pt or optimizer.pt: written as torch does, read as if a stranger had made it.

Nothing in it is run, and it takes no more memory than it has bytes: its records are stored, never packed, they do not
share bytes, and the little pickle that names them knows a few words. torch.load(weights_only=True) alone would inflate
a small file to any size, or make the array of a billion bytes that a line of it asks for.
"""

import io
import pickle
import pickletools
import warnings
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import safetensors.torch
import torch

from sharding.base.files import open_file, publish
from sharding.base.libraries import warn_of_fault
from sharding.errors import FormatError, InputError

LARGEST_PICKLE = 1 << 22
"""Bytes of names and shapes: some 20,000 tensors have so many."""
KNOWN = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch.storage UntypedStorage",
} | {
    f"torch {kind}Storage"
    for kind in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
}
"""What a pickle may ask for: dictionaries and tensors."""


class _Target:
    """Where torch writes: a file. After what the disk refuses it takes all and writes nothing: torch turns an
    exception into an internal error, and may write on when it is thrown away.
    """

    def __init__(self, file: BinaryIO, going: Callable[[], None]) -> None:
        self.file, self.going = file, going
        self.refused: Exception | None = None

    def write(self, data: bytes | memoryview) -> int:
        if self.refused is None:
            try:
                self.going()
                self.file.write(data)
            except Exception as error:  # raised again, by who has called torch
                self.refused = error
        return len(data)

    def flush(self) -> None:
        """Left to who publishes the file."""


def save_tensors(path: Path, tensors: dict[str, Any], going: Callable[[], None]) -> None:
    """Straight to the disk, without another copy in memory. `going` is called before each write; what it raises ends
    it. Raises OSError.
    """
    with publish(path, lasting=False) as file:
        target = _Target(file, going)
        torch.save(tensors, cast(IO[bytes], target))
        if target.refused:
            raise target.refused


def load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Weights that ship, half as precise and half as large, as full numbers again. Raises FormatError, InputError."""
    try:
        with BufferedReader(open_file(path)) as file:
            tensors = safetensors.torch.load(file.read())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise FormatError(f"{path} is damaged or no safetensors file ({error})") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def load_tensors(path: Path) -> dict[str, Any]:
    """Raises FormatError when it is damaged or holds anything but tensors and plain values; InputError."""
    warn_of_fault("torch", torch.__version__)
    try:
        with BufferedReader(open_file(path)) as file:
            _check_records(cast(BinaryIO, file), path)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch remarks on foreign pickles before it refuses them
                return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise _not_plain(path) from error
    except (RuntimeError, EOFError, ValueError, KeyError, NotImplementedError, BadZipFile) as error:
        reason = str(error).partition(". ")[0] or "it is empty"
        raise FormatError(f"{path} is damaged or cut short ({reason})") from error


def _check_records(file: BinaryIO, path: Path) -> None:
    size = file.seek(0, io.SEEK_END)
    if not size:
        raise EOFError
    with ZipFile(file) as stored:
        records = stored.infolist()
        if any(record.compress_type != ZIP_STORED for record in records):
            raise FormatError(f"{path} holds packed records, which no checkpoint has: they could take any memory")
        if sum(record.file_size for record in records) > size:
            raise FormatError(f"{path} is damaged: its records have more bytes than the file")
        pickles = [record for record in records if record.filename.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1 or pickles[0].file_size > LARGEST_PICKLE:
            raise FormatError(
                f"{path} is no checkpoint: one list of at most {LARGEST_PICKLE:,} bytes names its tensors"
            )
        if _asks_for_more(stored.read(pickles[0])):
            raise _not_plain(path)


def _asks_for_more(data: bytes) -> bool:
    """Than dictionaries and tensors."""
    return any(
        "GLOBAL" in code.name and (code.name != "GLOBAL" or argument not in KNOWN)
        for code, argument, _ in pickletools.genops(data)
    )


def _not_plain(path: Path) -> FormatError:
    return FormatError(
        f"{path} is not a plain checkpoint: it is damaged or asks to run code, and nothing in it was run"
    )
