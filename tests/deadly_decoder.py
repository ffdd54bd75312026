"""In place of `sound_file.save`, in child processes: a decoder that is ended by one of the files."""

import os
import pathlib
import signal

from mmjax.data.files import sound_file


def save(folder, item):
    """Reads a file as usual, but for one named deadly.*: that one has begun to be written."""
    if "deadly" in item[0]:
        pathlib.Path(item[1]).write_bytes(b"the start of a waveform")
        os.kill(os.getpid(), signal.SIGSEGV)
    return sound_file.save(folder, item)
