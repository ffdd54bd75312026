"""What a run left, for those that start from it."""

import orbax.checkpoint as ocp

from mmjax.known import runs


def test_what_was_solved_is_that_of_the_newest_checkpoint(tmp_path):
    for step in (300, 400):
        (tmp_path / "checkpoints" / str(step) / "default").mkdir(parents=True)
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "fitted" / "300", {"units": 3.0})
    (tmp_path / "fitted" / "400.orbax-checkpoint-tmp").mkdir()  # of a run that was killed
    assert runs.fitted(tmp_path, "config.units") == {}
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "fitted" / "400", {"units": 4.0})
    assert runs.fitted(tmp_path, "config.units") == {"units": 4.0}
