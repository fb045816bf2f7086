"""JSON with a checksum: every changed byte is noticed, and reading executes nothing."""

import subprocess
import sys

import pytest

from thalweg.core.errors import RunFolderError
from thalweg.run.folder.filesystem import seal, unseal

VALUE = {"b": [1, 2.5, None, True, "ü\n\ud800"], "a": {"deep": {"er": []}}}


def test_sealed_json_reads_back():
    assert unseal(seal(VALUE), "here") == VALUE


def test_every_changed_byte_is_noticed():
    content = seal({"b": [1, 2.5, None, True, "text"], "a": {"deep": {}}})
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            with pytest.raises(RunFolderError, match="must be as it was written"):
                unseal(bytes(changed), "here")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"[" * 10**6, b"9" * 10**5, b'{"sha256": ""}']
)
def test_content_without_a_valid_checksum_is_refused(content):
    with pytest.raises(RunFolderError, match="must be as it was written"):
        unseal(content, "here")


def test_nan_is_refused():
    with pytest.raises(ValueError, match="Out of range"):
        seal({"loss": float("nan")})


def test_checkpoints_records_and_verification_need_no_jax():
    modules = "thalweg.run.checkpoint.writer_thread, thalweg.run.folder.record, thalweg.run.verify"
    code = f"import sys, {modules}; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
