"""Work begun in a thread: its result and its error reach whoever reads it, and it holds up nobody else."""

import subprocess
import sys
import threading

import pytest

from thalweg.core.begun import begun


def test_the_reader_gets_the_result_of_work_in_another_thread():
    assert begun(threading.get_ident).result(5) != threading.get_ident()


def test_the_reader_gets_the_error():
    with pytest.raises(ZeroDivisionError):
        begun(lambda: 1 / 0).result(5)


def test_the_process_does_not_wait_for_it():
    code = "from thalweg.core.begun import begun; import time; begun(lambda: time.sleep(600))"
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
