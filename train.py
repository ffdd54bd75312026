"""Trains, resumes, evaluates and reports any system of mmjax.

  python train.py --config=configs/soundnet.py                 the laptop default: two cores, ten minutes
  python train.py --config=configs/soundnet.py:tiny            seconds; see the file for its variants
  python train.py --config=configs/soundnet.py --config.model.depth=5 --workdir=runs/five

The same command on the same workdir goes on where it stopped.

flags:
  --config=FILE[:VARIANT]      a file with get_config(variant); configs/ has one for every system
  --config.FIELD=VALUE         overrides a field of it; nested ones as --config.optim.sound.learning_rate=1e-4
  --config.data.OPTION=VALUE   any option of the data set, whether the file names it or not
  --workdir=DIR                where everything is written; default runs/<file>[-<variant>]
  --distributed                several hosts: start the same command on each (TPU pods and SLURM are recognised)
  --coordinator=HOST:PORT --processes=N --process=I    several hosts that JAX does not recognise by itself
"""

from __future__ import annotations

import ast
import os
import shlex
import sys
from pathlib import Path

# A second start of the same network compiles nothing: a laptop waits seconds instead of half a minute.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(os.environ.get("MMJAX_DATA") or os.path.expanduser("~/.cache/mmjax"), "xla"),
)

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from mmjax.errors import NonFinite, UserError

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "where everything is written")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "several hosts that JAX recognises")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0")
_PROCESSES = flags.DEFINE_integer("processes", None, "how many processes there are")
_PROCESS = flags.DEFINE_integer("process", None, "which of them this is")


def main(argv: list[str]) -> int:
    """Returns the exit status: 0 done or stopped on request, 1 a failed run, 2 a mistake of the user's."""
    if len(argv) == 1 or {"-h", "--help", "-help", "--helpfull"} & set(argv[1:]):
        print(__doc__.strip())
        return 0
    try:
        config, workdir = parse(argv)
        join()
        import jax  # only now, so that a typo is answered at once

        if config.cpu_devices > 1:  # 1 leaves XLA_FLAGS its say
            jax.config.update("jax_num_cpu_devices", config.cpu_devices)
        from mmjax.engine import loop

        if not _PROCESS.value:
            print(f"workdir: {workdir}", flush=True)
        loop.run(config, workdir, command="python " + shlex.join(argv))
    except UserError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except NonFinite as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"train.py: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train.py: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def join() -> None:
    """Joins the other hosts, if there are any. Raises UserError if that cannot be."""
    by_hand = (_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
    if any(value is not None for value in by_hand) and None in by_hand:
        raise UserError("--coordinator, --processes and --process go together: all three, or --distributed alone")
    if not _DISTRIBUTED.value and _COORDINATOR.value is None:
        return
    import jax

    try:
        jax.distributed.initialize(*by_hand)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the hosts could not be joined: {' '.join(str(error).split())}") from None


def parse(argv: list[str]):
    """The config and the workdir of a command line. Raises UserError with one line for every kind of mistake."""
    logging.set_verbosity(logging.ERROR)  # Orbax reports every file it touches
    try:
        sys.argv, options = _data_options(argv)  # config_flags looks for overrides in sys.argv itself
        rest, config = flags.FLAGS(sys.argv), _CONFIG.value
        variant = config.variant if config else ""
        _set_data(config, options)
    except UserError:
        raise
    except OSError as error:
        lines = str(error).strip().splitlines()
        have = ", ".join(sorted(path.stem for path in Path(__file__).with_name("configs").glob("*.py")))
        raise UserError(f"--config cannot be read: {lines[-1].strip()}; configs/ has {have}") from None
    except Exception as error:  # config_flags raises whatever it or the config file meets
        raise UserError(_explain(error)) from None
    if rest[1:]:
        raise UserError(f"{rest[1]!r} is not a flag: write --config=FILE, --config.FIELD=VALUE or --workdir=DIR")
    if config is None:
        raise UserError("--config is missing: for example --config=configs/soundnet.py")
    stem = Path(config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")[0]).stem
    default = Path("runs") / (f"{stem}-{variant}" if variant else stem)
    return config, Path(_WORKDIR.value) if _WORKDIR.value else default


def _data_options(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes --config.data.OPTION=VALUE out of argv: which there are is the data set's to say, not the file's."""
    start = "--config.data."
    options = dict(flag.removeprefix(start).split("=", 1) for flag in argv if flag.startswith(start) and "=" in flag)
    return [flag for flag in argv if not (flag.startswith(start) and "=" in flag)], options


def _set_data(config, options: dict[str, str]) -> None:
    for path, text in options.items():
        *sections, name = path.split(".")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        section = config.data
        with config.data.unlocked():
            for part in sections:
                if part not in section:
                    section[part] = ConfigDict()
                section = section[part]
                if not isinstance(section, ConfigDict):
                    raise UserError(f"--config.data.{path}={text}: {part} is a value here, without fields of its own")
            old = section.get(name)
            try:
                section[name] = text if isinstance(old, str) else value
            except TypeError:
                how = f"; write \"--config.data.{path}=('{text}',)\"" if isinstance(old, tuple) else ""
                kind = type(old).__name__
                raise UserError(f"--config.data.{path}={text}: it must be of type {kind}{how}") from None


def _explain(error: Exception) -> str:
    """One line for what config_flags raises, which is a KeyError with a repr inside for an unknown field."""
    text = " ".join(str(error).replace("\\n", " ").replace("\\'", "'").replace("\\", "").split()).strip("'\"")
    if isinstance(error, KeyError | AttributeError):
        return "the config has no field " + text.replace("' Did you mean", ": did you mean")
    return text or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv))
