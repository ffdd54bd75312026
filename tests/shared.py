"""One tiny run of each config, made once and looked at by many tests; and a config by its name."""

import contextlib
import dataclasses
import functools
import importlib.util
import io
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import jax

from mmjax.engine import loop, mesh

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.py"))


def config_file(name):
    """The module of configs/<name>.py."""
    found = importlib.util.spec_from_file_location(f"config_{name}", ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def get_config(name, variant="tiny"):
    """The config of configs/<name>.py:<variant>."""
    return config_file(name).get_config(variant)


@dataclasses.dataclass(frozen=True)
class TinyRun:
    """A whole run of a tiny variant: prepared, trained, evaluated, reported; to be read and not written to.

    Attributes:
      config_name: of configs/<config_name>.py.
      config: of the run.
      workdir: what it wrote.
      said: what it printed.
      ready: what it held: task, data, the evaluator with everything that is compiled.
      variables: the trained ones, with what was solved on them.
    """

    config_name: str
    config: Any
    workdir: Path
    said: str
    ready: loop.Ready
    variables: Any


@contextlib.contextmanager
def devices(count):
    """Runs that begin in here live on so many of the devices."""
    with mock.patch.object(mesh, "devices", return_value=jax.devices()[:count]):
        yield


def one_device():
    """As `devices(1)`: programs for one compile in half the time of those for eight."""
    return devices(1)


@functools.cache
def tiny_run(name):
    """The run of configs/<name>.py:tiny on one device, made at the first call in this process."""
    config, seen = get_config(name), {}
    fit = loop.fit

    def recorded(ready, state):
        seen["variables"], seen["ready"] = fit(ready, state), ready
        return seen["variables"]

    workdir = Path(tempfile.mkdtemp(prefix=f"tiny-{name}-")) / "run"
    said = io.StringIO()
    with mock.patch.object(loop, "fit", recorded), contextlib.redirect_stdout(said), one_device():
        loop.run(config, workdir, command=f"python train.py --config=configs/{name}.py:tiny")
    return TinyRun(name, config, workdir, said.getvalue(), seen["ready"], seen["variables"])
