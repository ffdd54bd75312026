"""What a run writes down of its figures."""

import json

import pytest

from mmjax import workdir
from mmjax.engine.logs import Logs


def test_a_figure_that_is_none_is_written_down_and_not_drawn(tmp_path, monkeypatch):
    logs = Logs(tmp_path, 0, 10, 4)
    drawn = {}
    monkeypatch.setattr(logs.board, "add_scalar", lambda name, value, step: drawn.update({name: (value, step)}))
    logs.write(3, "validation", {"ciou": float("nan"), "rate": float("inf"), "fits_own_sound": 0.5})
    logs.file.close()
    logs.board.close()
    (line,) = (tmp_path / workdir.METRICS).read_text().splitlines()
    values = json.loads(line, parse_constant=pytest.fail)["values"]
    assert values == {"ciou": "nan", "rate": "inf", "fits_own_sound": 0.5}
    assert drawn == {"validation/fits_own_sound": (0.5, 3)}
