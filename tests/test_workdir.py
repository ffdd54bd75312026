"""The files of a workdir where the disk is full."""

import errno
from pathlib import Path

import numpy as np
import pytest

from mmjax import workdir
from mmjax.engine.logs import Logs

FULL = Path("/dev/full")  # every write to it says that there is no space left
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")


@pytest.mark.parametrize(
    "write",
    [lambda path: workdir.write_json(path, {"a": 1}), lambda path: workdir.write_arrays(path, {"a": np.zeros(3)})],
    ids=["json", "arrays"],
)
def test_a_full_disk_is_said_of_the_file_and_leaves_what_was_there(write, tmp_path):
    path = tmp_path / "status.json"
    path.write_text("before")
    path.with_suffix(".part").symlink_to(FULL)
    with pytest.raises(OSError, match="No space left") as error:
        write(path)
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "before"


def test_a_full_disk_is_said_of_the_records(tmp_path):
    class Full:
        def write(self, line):
            raise OSError(errno.ENOSPC, "No space left on device")

    logs = Logs(tmp_path, 0, 10, 4)
    logs.file.close()
    logs.file = Full()
    with pytest.raises(OSError, match="No space left") as error:
        logs.write(1, "train", {"loss": 1.0})
    assert error.value.filename == str(tmp_path / workdir.METRICS)
    logs.board.close()
