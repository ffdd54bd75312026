"""Trains, resumes, evaluates and reports any system of mmjax.

  mmjax train --config=configs/soundnet.py                 the laptop default: two cores, seven minutes
  mmjax train --config=configs/soundnet.py:tiny            seconds; see the file for its variants
  mmjax train --config=configs/soundnet.py --config.model.depth=5 --workdir=runs/five

The same command on the same workdir goes on where it stopped.

flags:
  --config=FILE[:VARIANT]      a file with get_config(variant); configs/ has one for every system
  --config.FIELD=VALUE         overrides a field of it; nested ones as --config.optim.sound.learning_rate=1e-4; several
                               values with commas, --config.sides=image,caption; yes or no as --config.fsdp=no
  --config.data.OPTION=VALUE   any option of the data set, whether the file names it or not
  --workdir=DIR                where everything is written; default runs/<file>[-<variant>]
  --distributed                several hosts: start the same command on each (TPU pods and SLURM are recognised)
  --coordinator=HOST:PORT --processes=N --process=I    several hosts that JAX does not recognise by itself
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from mmjax import typed as values_of
from mmjax.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"  # where this is a checkout


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The processes that are to be one run.

    Attributes:
      recognised: JAX finds them by itself.
      coordinator, processes, process: HOST:PORT of process 0, how many there are, and which this is; or None each.
    """

    recognised: bool = False
    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None

    def join(self) -> None:
        """Joins the others, if there are any. Raises UserError if that cannot be."""
        by_hand = (self.coordinator, self.processes, self.process)
        if any(value is not None for value in by_hand) and None in by_hand:
            raise UserError("--coordinator, --processes and --process go together: all three, or --distributed alone")
        if not self.recognised and self.coordinator is None:
            return
        import jax

        from mmjax.engine import last_words

        try:
            jax.distributed.initialize(
                *by_hand,
                heartbeat_timeout_seconds=last_words.HEARTBEAT,
                shutdown_timeout_seconds=3600,  # at the end the others wait for the first, which writes the report
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(f"the hosts could not be joined: {' '.join(str(error).split())}") from None


def main(arguments: Sequence[str], typed: str) -> None:
    """Trains. Raises UserError for a mistake, NonFinite for a failed run."""
    if not arguments or {"-h", "--help", "-help", "--helpfull"} & set(arguments):
        print(__doc__.strip().replace("mmjax train", typed))
        return
    config, workdir, hosts = parse(arguments)
    try:
        from mmjax.engine import memory

        memory.keep()
        import jax  # only now, so that a typo is answered at once

        if config.cpu_devices > 1:  # 1 leaves XLA_FLAGS its say
            jax.config.update("jax_num_cpu_devices", config.cpu_devices)
        hosts.join()
        from mmjax.engine import last_words

        with last_words.spoken(Path(typed.split()[-1]).name if typed.endswith(".py") else typed):
            from mmjax.engine import loop, mesh  # takes a second, in which others may die

            if jax.process_count() > 1:
                mesh.meet()
            if not hosts.process:
                print(f"workdir: {workdir}", flush=True)
            loop.run(config, workdir, command=f"{typed} {shlex.join(arguments)}")
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on from the last checkpoint") from None


def parse(arguments: Sequence[str]) -> tuple[ConfigDict, Path, Hosts]:
    """The config, the workdir and the hosts of a command line. Raises UserError with one line for every mistake."""
    plain, overrides = _overrides(arguments)
    plain = ["", *(re.sub(r"^(--?config=)(~.*)", _at_home, flag) for flag in plain)]
    values = flags.FlagValues()  # of this command line and no other: a process may parse several
    chosen = config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values, sys_argv=plain)
    folder = flags.DEFINE_string("workdir", None, "where everything is written", flag_values=values)
    recognised = flags.DEFINE_bool("distributed", False, "several hosts that JAX recognises", flag_values=values)
    coordinator = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0", flag_values=values)
    processes = flags.DEFINE_integer("processes", None, "how many processes there are", flag_values=values)
    process = flags.DEFINE_integer("process", None, "which of them this is", flag_values=values)
    try:
        rest, config = values(plain), chosen.value
        variant = "" if config is None else config.variant  # here: a file that could not be loaded raises when asked
        # The data set's name first: it says which options there are.
        for path, texts in sorted(overrides.items(), key=lambda item: item[0] != "data.name"):
            if config is not None:
                _set(config, path, texts)
    except UserError:
        raise
    except OSError as error:
        lines = str(error).strip().splitlines()
        have = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.py")))
        offered = f"; configs/ has {have}" if have else ""
        raise UserError(f"--config cannot be read: {lines[-1].strip()}{offered}") from None
    except Exception as error:  # config_flags raises whatever it or the config file meets
        raise UserError(_explain(error)) from None
    if rest[1:]:
        raise UserError(f"{rest[1]!r} is not a flag: write --config=FILE, --config.FIELD=VALUE or --workdir=DIR")
    if config is None:
        raise UserError("--config is missing: for example --config=configs/soundnet.py")
    stem = Path(config_flags.get_config_filename(values["config"]).partition(":")[0]).stem
    default = Path("runs") / (f"{stem}-{variant}" if variant else stem)
    hosts = Hosts(bool(recognised.value), coordinator.value, processes.value, process.value)
    return config, Path(folder.value or default).expanduser(), hosts


def _at_home(found: re.Match[str]) -> str:
    return found[1] + str(Path(found[2]).expanduser())


def _overrides(argv: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Takes --config.FIELD=VALUE, --config.FIELD VALUE, --config.FIELD and --noconfig.FIELD out of argv: all values."""
    plain, overrides, rest = [], collections.defaultdict[str, list[str]](list), list(argv)
    while rest:
        flag = rest.pop(0)
        found = re.match(r"--?(no)?config\.([^=]+)(=)?(.*)", flag, re.DOTALL)
        if found is None:
            plain.append(flag)
        elif found[3]:
            overrides[found[2]].append(found[4])
        elif found[1] or not rest or rest[0].startswith("--"):
            overrides[found[2]].append("false" if found[1] else "true")
        else:
            overrides[found[2]].append(rest.pop(0))
    return plain, overrides


def _set(config: ConfigDict, path: str, texts: Sequence[str]) -> None:
    """Sets a field, which of config.data need not be there: which there are is the data set's to say, not the file's.

    Of several texts the last counts; but those of a tuple that are one value each are its elements.
    Raises UserError for a value that does not fit, and KeyError, AttributeError for a field that does not exist.
    """
    *sections, name = path.split(".")
    section, text = config, texts[-1]
    of_data = path.startswith("data.")
    for part in sections:
        if of_data and part not in section:
            with section.unlocked():
                section[part] = ConfigDict()
        section = section[part]
        if not isinstance(section, ConfigDict):
            raise UserError(f"--config.{path}={text}: {part} is a value here, without fields of its own")
    old = section.get(name) if of_data else section[name]
    kind, words = _kind(config, path) if old is None and of_data else _kind_of(old)
    try:
        found = None if old is None and text == "None" else values_of.value(text, kind, words)
        if kind is tuple and len(texts) > 1 and not any(one[:1] in ("", "(", "[") or "," in one for one in texts):
            found = tuple(values_of.value(one, tuple, words)[0] for one in texts)
        with section.unlocked() if of_data else contextlib.nullcontext():
            section[name] = ConfigDict(found) if isinstance(found, dict) else found
    except TypeError:
        raise UserError(f"--config.{path}={text}: it must be of type {type(old).__name__}") from None
    except UserError as error:
        raise UserError(f"--config.{path}={text}: {error}") from None


def _kind_of(old: Any) -> tuple[type | None, bool]:
    """The kind of a field's value, and of several values whether all are words."""
    if isinstance(old, tuple):
        return tuple, bool(old) and all(isinstance(one, str) for one in old)
    if isinstance(old, ConfigDict):
        return dict, False
    return next((kind for kind in (bool, int, float, str) if isinstance(old, kind)), None), False


def _kind(config: ConfigDict, path: str) -> tuple[type | None, bool]:
    """The same of an option that the file does not name, from the data set itself."""
    from mmjax import data  # only now: it takes a second

    return data.kinds(config.data.name).get(path.removeprefix("data."), (None, False))


def _explain(error: Exception) -> str:
    """One line for what config_flags raises, which is a KeyError with a repr inside for an unknown field."""
    text = " ".join(str(error).replace("\\n", " ").replace("\\'", "'").replace("\\", "").split()).strip("'\"")
    if isinstance(error, KeyError | AttributeError):
        return "the config has no field " + text.replace("' Did you mean", ": did you mean")
    return text or type(error).__name__
