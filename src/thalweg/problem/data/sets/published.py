"""Published data sets that are too large to ship: their files, where they are stored, and their download."""

import gzip
import hashlib
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from thalweg.core.caller import option_name
from thalweg.core.disk import replace
from thalweg.core.errors import DataError
from thalweg.core.files import read_up_to
from thalweg.core.lazy import LazyModule
from thalweg.core.limits import as_bytes, max_bytes
from thalweg.problem.data.files.binary_images import CIFAR_CLASSES, batch_files, idx_files

# Imported when a file is downloaded: it would slow down every start.
urllib_error, urllib_request = LazyModule("urllib.error"), LazyModule("urllib.request")

VARIABLE = "THALWEG_DATA"  # environment variable with a folder of data sets
TIMEOUT = 30  # seconds without a response; a slower server counts as down

MNIST_CLASSES = tuple(range(10))
FASHION_CLASSES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
)


@dataclass(frozen=True)
class File:
    """A file of a published set.

    Args:
        name: Name in the folder, without `.gz`.
        sha256: Of the decompressed content, so that the compression does not matter.
        addresses: Where it can be downloaded, tried in turn; one that ends in `.gz` is compressed.
    """

    name: str
    sha256: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """A published set.

    Args:
        name: Name of the set.
        form: `idx`, `cifar` or `text`.
        files: What can be downloaded; empty if the set must already be on this machine.
        folders: Subfolders of a data folder that may hold it, besides the folder itself.
        classes: Labels by class number.
        source: Who published it.
    """

    name: str
    form: str
    files: tuple[File, ...] = ()
    folders: tuple[str, ...] = ()
    classes: tuple[int | str, ...] = ()
    source: str = ""


def _idx(addresses: tuple[str, ...], checksums: dict[str, str]) -> tuple[File, ...]:
    return tuple(
        File(name, sha256, tuple(f"{address}{name}.gz" for address in addresses))
        for name, sha256 in checksums.items()
    )


SETS = {
    "mnist": Published(
        "mnist",
        "idx",
        _idx(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            {
                "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ),
        ("mnist",),
        MNIST_CLASSES,
        "Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits",
    ),
    "fashion_mnist": Published(
        "fashion_mnist",
        "idx",
        _idx(
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            {
                "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ),
        ("fashion_mnist", "fashion-mnist"),
        FASHION_CLASSES,
        "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, 2017",
    ),
    "cifar10": Published(
        "cifar10",
        "cifar",
        (),
        ("cifar10", "cifar-10-batches-bin"),
        CIFAR_CLASSES,
        "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    "tinyshakespeare": Published(
        "tinyshakespeare",
        "text",
        (
            File(
                "tinyshakespeare.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                (
                    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                ),
            ),
        ),
        ("tinyshakespeare", "text"),
        (),
        "A. Karpathy: char-rnn, 2015; works of W. Shakespeare",
    ),
}


def cache_folder() -> Path:
    """Return the folder for downloaded data, in the user's cache."""
    return Path(platformdirs.user_cache_dir("thalweg")) / "data"


def locate(published: Published, folder: Path | str | None) -> Path | None:
    """Return the folder (for text, the file) that holds a set, or None.

    Args:
        published: The set.
        folder: The only folder to search; None: the one in THALWEG_DATA, then the cache.

    The subfolders of a folder are searched first. The folder itself counts only if it was given, is named
    after the set, or the set is text, so that MNIST's files in a data folder are not read as Fashion-MNIST.
    """
    variable = os.environ.get(VARIABLE)
    searched = (
        [Path(folder)] if folder is not None else [*([Path(variable)] if variable else []), cache_folder()]
    )
    for data_folder in searched:
        candidates = [data_folder / name for name in published.folders]
        if folder is not None or data_folder.name in published.folders or published.form == "text":
            candidates.append(data_folder)
        for candidate in candidates:
            path = _holding(published, candidate)
            if path is not None:
                return path
    return None


def _holding(published: Published, folder: Path) -> Path | None:
    """Return the folder, or the text file in it, if it holds the set."""
    if not folder.is_dir():
        return None
    if published.form == "text":
        names = [name for file in published.files for name in (file.name, f"{file.name}.gz")]
        return next((folder / name for name in names if (folder / name).is_file()), None)
    if published.form == "cifar":
        return folder if batch_files(folder)["train"] else None
    return folder if {"train_images", "train_labels"} <= set(idx_files(folder)) else None


def download(published: Published) -> Path:
    """Download the files of a set that are missing from the cache; each is verified, and never incomplete.

    Returns:
        The folder that holds them.

    Raises:
        DataError: The set cannot be downloaded, no address answers, or the content is not what was published.
    """
    name, hint = (
        published.name,
        f"set {VARIABLE} to a folder that holds {published.name}, or give {option_name('folder')}",
    )
    if not published.files:
        raise DataError("data", f"{name} cannot be downloaded and must be on this machine", hint=hint)
    folder = cache_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error, hint) from error
    for file in published.files:
        if (folder / file.name).exists():
            continue
        content, failures = _content(file)
        if content is None:
            rule = f"{name} is not on this machine and could not be downloaded"
            raise DataError("data", rule, got="; ".join(failures), hint=hint)
        try:
            replace(folder / file.name, content)
        except OSError as error:
            raise _not_writable(folder, error, hint) from error
    return folder


def _content(file: File) -> tuple[bytes | None, list[str]]:
    """Return the content of a file from the first address that has it, and why others failed."""
    failures = []
    for address in file.addresses:
        try:
            with urllib_request.urlopen(address, timeout=TIMEOUT) as response:
                content = _limited(response)
            if address.endswith(".gz"):
                content = _limited(gzip.GzipFile(fileobj=io.BytesIO(content)))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            failures.append(f"{address}: {_reason(error)}")
            continue
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 == file.sha256:
            return content, failures
        failures.append(f"{address}: other content (SHA-256 {sha256[:12]}...)")
    return None, failures


def _not_writable(folder: Path, error: OSError, hint: str) -> DataError:
    rule = "the cache folder must be writable"
    return DataError("data", rule, got=error.strerror, where=folder, hint=hint)


def _limited(file: Any) -> bytes:
    """Read to the end of a file; whatever answered at an address, not more than `core.limits` allows."""
    most = max_bytes()
    content = read_up_to(file, most)
    if content is None:
        raise ValueError(f"more than {as_bytes(most)}")
    return content


def _reason(error: Exception) -> str:
    network = isinstance(error, urllib_error.URLError) and not isinstance(error, urllib_error.HTTPError)
    return str(getattr(error, "reason", error)) if network else str(error)
