"""What tests of data sets share with those of the files that they are read from."""

import contextlib

import numpy as np
import pytest
import sound_font_writer

from mmjax.data.files import child_processes


@pytest.fixture(scope="module")
def started():
    with child_processes.Children(1) as children:
        yield children


@pytest.fixture
def one_child(started, monkeypatch):
    """The same child process for all preparations of a module: starting one takes longer than they do."""
    monkeypatch.setattr(child_processes, "Children", lambda workers: contextlib.nullcontext(started))


@pytest.fixture(scope="module")
def fonts(tmp_path_factory):
    """Two fonts of sines; the second lacks program 3, its program 5 is silent."""
    folder = tmp_path_factory.mktemp("fonts")
    sine = np.sin(2 * np.pi * np.arange(sound_font_writer.PERIOD) / sound_font_writer.PERIOD)
    octave = np.sin(4 * np.pi * np.arange(sound_font_writer.PERIOD) / sound_font_writer.PERIOD)
    first = sound_font_writer.write(folder / "first.sf2", {p: 0.5 * (octave if p % 2 else sine) for p in range(8)})
    second = {p: 0.1 * sine * (p != 5) for p in range(8) if p != 3}
    return str(first), str(sound_font_writer.write(folder / "second.sf2", second))
