"""Sealed JSON: any changed byte is noticed, and what is executed is nothing."""

import subprocess
import sys

import pytest

from thalweg.core.errors import RunFolderError
from thalweg.run.folder import sealed_json as sealed

VALUE = {"b": [1, 2.5, None, True, "ü\n\ud800"], "a": {"deep": {"er": []}}}


def test_what_is_sealed_opens_again():
    assert sealed.opened(sealed.text(VALUE), "here") == VALUE


def test_every_changed_byte_is_noticed():
    content = sealed.text({"b": [1, 2.5, None, True, "text"], "a": {"deep": {}}})
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            with pytest.raises(RunFolderError, match="must be as it was written"):
                sealed.opened(bytes(changed), "here")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"[" * 10**6, b"9" * 10**5, b'{"sha256": ""}']
)
def test_what_was_never_sealed_is_refused(content):
    with pytest.raises(RunFolderError, match="must be as it was written"):
        sealed.opened(content, "here")


def test_a_number_that_json_has_not_is_refused():
    with pytest.raises(ValueError, match="Out of range"):
        sealed.text({"loss": float("nan")})


def test_the_store_needs_no_jax():
    code = "import sys, thalweg.run.store.saver, thalweg.run.store.inspection; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
