import pytest
from report import fake_run

from mmjax.report import page


@pytest.fixture
def workdir(tmp_path):
    """A finished run, to change and to report on."""
    fake_run.write(tmp_path / "a run", kept=2)
    return tmp_path / "a run"


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The page of a finished run: its path; to be read only."""
    folder = tmp_path_factory.mktemp("finished") / "a run"
    fake_run.write(folder)
    return page.write(folder)
