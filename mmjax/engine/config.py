"""Configs: the engine's own fields with their defaults, the workdir's record of a config, and its comparison.

A config is a locked `ml_collections.ConfigDict`. Each section is the keyword arguments of exactly one callable:
`config.data` of `data.open`, `config.loader` of `data.pipeline`, `config.optim.<group>` of `optim.make`, and
`config.model` of the system's network. What stands at the top level belongs to `loop.run`.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mmjax import workdir as files
from mmjax.errors import UserError

# How a run is carried out, not what it computes: these may differ between the parts of one run.
FREE = [
    "parallel",
    "model_axis",
    "fsdp",
    "steps_per_call",
    "cpu_devices",
    "debug_nans",
    "data_changed",
    "log_every",
    "save_every",
    "best",
    "best_mode",
]
FREE += ["loader.workers", "loader.threads", "loader.prefetch"]
FREE += ["feature_cache"]
FREE += ["data.workers", "data.data_dir", "data.download", "data.beam"]

# Fields whose absence, in a run from before there were any, is the system's to read: it may have judged all the same.
UNSAID = ["eval.judges"]


def _optimiser_form(section: Mapping[str, Any]) -> str | None:
    """How optim.make took eps before it could be asked for: only these two methods differ from today's."""
    if "b1" not in section and section.get("name") != "rmsprop":  # of a row optimiser, which has had one form
        return None
    return "optax" if section.get("name") in ("rmsprop", "adagrad") else "torch"


def _four_times(section: Mapping[str, Any]) -> int | None:
    """What is inside a vision transformer's blocks, before other widths than four times its own could be asked for."""
    return 0 if section.get("name") == "vit" else None


def _where_text_is_split(data: Mapping[str, Any]) -> str | None:
    """Of skip-gram, which took the markup of a wiki's dump for words."""
    return "words" if "splitter" in data else None


def _of_one_person(config: Mapping[str, Any]) -> bool | None:
    """Of Speech2Face, which took every clip's face for another person's."""
    return False if config.get("system") == "speech2face" else None


def _kinds_unknown(truth: Mapping[str, Any]) -> bool | None:
    """Of localisation, which did not tell off-screen sounds apart."""
    return False if "several" in truth else None


# Where a repair changed what is computed, the field that says in which form, with the form of runs that began before
# there was a choice (edition 1): they keep it, whatever the config file says today. * is any section. A form that
# depends on the rest of its section is a function of it, None where the section has no such field.
BEFORE: dict[str, Any] = {
    "loader.order": "hash",
    "optim.*.form": _optimiser_form,
    "data.tokens.rules": "letters",
    "data.splitter": operator.methodcaller("get", "splitter"),  # of skip-gram, which always said it
    "image.inside": _four_times,
    "data.markup": _where_text_is_split,
    "persons": _of_one_person,
    "truth.kinds": _kinds_unknown,
}
READ_WITH = {"form": ("eps",)}  # what a number means in one form and not in another stays with the form
EDITION = 4  # raised whenever BEFORE gains a field


def engine(system: str, variant: str = "") -> ConfigDict:
    """The fields that every config has; a system's get_config changes them and adds its own sections."""
    c = ConfigDict()
    c.system = system  # a module of mmjax/systems
    c.variant = variant
    c.edition = EDITION  # of what is computed; recorded, so that a run goes on in the form in which it began
    c.seed = 0  # of parameters, dropout and the order of the data
    c.steps = 1000  # training steps in all
    c.batch_size = 32  # of the whole machine park; must divide by the number of devices

    c.data = ConfigDict({"name": "sounding_scenes"})  # arguments of data.open
    c.train_split = "train"
    c.validation_split = "validation"  # looked at every eval.every steps; chooses the best checkpoint
    c.test_split = "test"  # looked at once, at the end
    c.data_changed = "refuse"  # what a run does whose examples changed since it began; "accept" goes on with them

    c.loader = ConfigDict()  # arguments of data.pipeline
    c.loader.workers = 0  # processes that prepare examples; 0 = threads of this one
    c.loader.threads = 2  # one per core of a laptop
    c.loader.prefetch = 4  # batches held ready; more costs memory only

    c.loader.clip_seconds = 0.0  # crop or pad `waveform` to this; 0 = as it is
    c.loader.pixels = 0  # resize pictures to this square; 0 = as they are
    c.loader.order = "permutation"  # of training: below 1,000 examples one drawn an epoch; or "hash", of any number

    # Where a frozen network's features of the training split are kept: a folder, or "" to compute them at every visit.
    c.feature_cache = "workdir"

    c.eval = ConfigDict()  # when, and on how much, the held-out splits are looked at
    c.eval.every = 500  # steps between looks at the validation split; 0 = only at the end
    c.eval.batch_size = 32
    c.eval.examples = 512  # at most, at each look in between; the end uses test_examples
    c.eval.test_examples = 2000
    c.eval.fit_examples = 10_000  # of a split, at most, for a system that solves something on features: `task.Fit`
    c.eval.folds = 0  # cross-validation: the run once for each config.data.fold of so many, and the mean; 0 = one run
    c.eval.gallery = 24  # examples whose pictures and sounds are kept for the report
    c.eval.probes = ()  # e.g. ("blank:picture", "shuffle:question_tokens"): the figures without a modality or field
    c.eval.judges = ()  # networks that only measure, in a system that has them: names of mmjax/judges, or NAME:FILE

    c.best = ""  # the validation figure that chooses the best checkpoint; "" = the last is the best
    c.best_mode = "max"  # or "min"

    c.parallel = "jit"  # or "pmap": the classic replicated form of the same step
    c.model_axis = 1  # devices over which one copy of the large parameters is spread (jit only)
    c.fsdp = False  # spread large parameters and optimiser state over the data axis as well (jit only)
    c.cpu_devices = 1  # devices that a CPU counts as; several run side by side what XLA runs on one core
    c.steps_per_call = 1  # steps in one dispatch; more hides the host's latency on fast accelerators
    c.debug_nans = False  # stop at the operation that makes a NaN; slow

    # A remedy where training leans on one modality: arguments of balance.options.Balance, which explains them.
    c.balance = ConfigDict()
    c.balance.name = "none"  # or "ogm_ge", "opm", "dropout", "pmr", "blending"; "only": nothing but `modality`
    c.balance.alpha = 0.0  # strength of ogm_ge, opm and pmr; 0 = the method's own
    c.balance.place = "update"  # what ogm_ge scales; or "gradient" as its code has it, which Adam undoes
    c.balance.convolutions = False  # ogm_ge changes four-dimensional kernels alone, as its code does
    c.balance.noise = True  # ogm_ge's "GE"
    c.balance.until = 0  # the step at which ogm_ge ends; 0 = never
    c.balance.rate = 0.2  # of opm and dropout: of examples without a modality
    c.balance.momentum = 0.9  # of pmr's prototypes
    c.balance.every = 200  # steps between the estimates of blending
    c.balance.held = 0.1  # of blending: the share of training's examples that it only looks at
    c.balance.modality = ""  # of "only"

    # Another run that teaches this one: arguments of distil.options.Distil, which explains them.
    c.distil = ConfigDict()
    c.distil.workdir = ""  # of a run of the same system on the same data; "" = no teacher
    c.distil.of = "logits"  # or "embeddings", how alike it finds examples, or "maps"
    c.distil.weight = 1.0  # beside the system's own loss
    c.distil.temperature = 2.0  # of logits

    # A wider run of the same system: this one begins as the channels of it that matter most, see distil.pruning.
    c.prune = ""  # its workdir; "" = fresh values

    c.log_every = 20  # steps
    c.save_every = 500  # steps; a killed run loses at most this many
    c.optim = ConfigDict()
    return c


def choose(c: ConfigDict, variants: Mapping[str, Callable[[ConfigDict], None]]) -> ConfigDict:
    """Turns the laptop default into the variant that c.variant names. Raises UserError if there is none."""
    if c.variant not in variants:
        known = ", ".join(map(repr, variants))
        raise UserError(f"configs/{c.system}.py has no variant {c.variant!r}: choose {known}")
    variants[c.variant](c)
    return c


def unchanged(c: ConfigDict) -> None:
    """The variant that is the default itself."""


def adam(learning_rate: float, **changes: Any) -> ConfigDict:
    """The section of one optimiser, arguments of `optim.make`, starting from Adam's own defaults."""
    section = ConfigDict(
        {
            "name": "adam",
            "learning_rate": learning_rate,
            "warmup": 0,  # steps of linear rise
            "decay": "none",  # or "cosine", "linear": to zero over the run
            "clip": 0.0,  # global gradient norm; 0 = off
            "weight_decay": 0.0,
            "b1": 0.9,
            "b2": 0.999,
            "eps": 1e-8,
            "momentum": 0.0,  # of sgd
            "form": "torch",  # of rmsprop and adagrad: eps beside the root; or "optax": under it
        }
    )
    section.update(changes)
    return section


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields ("model.depth", 8), ... over a nested config."""
    for key in sorted(config):
        value = config[key]
        if isinstance(value, Mapping | ConfigDict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The fields in which two configs describe different runs, as "model.depth is 8 there, 5 here"."""
    there, here = dict(flat(old)), dict(flat(new))
    return [
        f"{name} is {there.get(name, 'absent')!r} there, {here.get(name, 'absent')!r} here"
        for name in sorted({*there, *here})
        if name not in FREE and not name.startswith("eval.") and there.get(name) != here.get(name)
    ]


def load(workdir: Path) -> ConfigDict:
    """Reads workdir/config.json; fields of the engine's that are younger than the run have their defaults.

    Raises UserError if it is not there or not readable.
    """
    path = workdir / "config.json"
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{workdir} is not a workdir of mmjax: it has no config.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if not isinstance(raw, dict) or not {"system", "steps"} <= set(raw):
        raise UserError(f"{path} is no config of mmjax")
    completed = _completed({"edition": 1, **_tuples(raw)}, engine(raw["system"]).to_dict())
    if completed["edition"] < EDITION:
        for place, name, value in _of_before(completed):
            if name not in (_at(raw, place) or {}):
                _at(completed, place)[name] = value
    config = ConfigDict(completed)
    config.lock()
    return config


def as_begun(config: ConfigDict, workdir: Path) -> tuple[ConfigDict, list[str]]:
    """A run's config in the forms in which `workdir` began, and what differs for it: a line for each field of BEFORE.

    Where there is no run yet, or one of today, both are as they were: the config, and nothing.
    """
    # A cross-validation has its own config when it is done; before, it began as its first fold did.
    began = next((path for path in (workdir, files.fold(workdir, 1)) if (path / files.CONFIG).exists()), None)
    if began is None or (old := load(began)).edition >= config.get("edition", EDITION):
        return config, []
    there, here, lines = old.to_dict(), config.to_dict(), []
    here["edition"] = there["edition"]
    for place, name, _ in _of_before(there):
        begun, section = _at(there, place)[name], _at(here, place)
        if section is None or section.get(name) == begun:
            continue
        for kept in (name, *READ_WITH.get(name, ())):
            value = _at(there, place).get(kept)
            if value != section.get(kept):
                field = ".".join((*place, kept))
                lines.append(f"config.{field}={value!r}, and not {section.get(kept)!r}, as this run began")
                section[kept] = value
    begun_config = ConfigDict(here)
    begun_config.lock()
    return begun_config, lines


def _of_before(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """(path of the section, field, value) of each field of BEFORE whose section is there."""
    for pattern, value in BEFORE.items():
        *parts, name = pattern.split(".")
        places: list[tuple[str, ...]] = [()]
        for part in parts:
            places = [(*place, key) for place in places for key in (_at(config, place) or {}) if part in ("*", key)]
        for place in places:
            section = _at(config, place)
            form = value(section) if callable(value) and section is not None else value
            if section is not None and form is not None:
                yield place, name, form


def _at(config: Any, place: tuple[str, ...]) -> Any:
    """The section at a path, or None where there is none."""
    for part in place:
        config = config.get(part) if isinstance(config, dict) else None
    return config if isinstance(config, dict) else None


def _completed(old: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`old` with what only the defaults have, but for UNSAID."""
    found = {name: value for name, value in defaults.items() if name in old or f"{prefix}{name}" not in UNSAID}
    for name, value in old.items():
        below = defaults.get(name, {}) if isinstance(value, Mapping) else None
        found[name] = value if below is None else _completed(value, below, f"{prefix}{name}.")
    return found


def evaluated_alike(saved: Any, config: ConfigDict) -> bool:
    """Whether results beside which `saved` stands, the JSON of their config.eval, are what config.eval asks for."""
    try:
        there = json.loads(saved)
    except (TypeError, ValueError):  # of a run from before it was recorded, or damaged
        return False
    defaults = json.loads(engine(config.system).eval.to_json())
    return defaults | there == defaults | json.loads(config.eval.to_json())


def _tuples(value: Any) -> Any:
    """JSON knows only lists, a ConfigDict takes only tuples from the command line."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def check_ranges(config: ConfigDict) -> None:
    """Raises UserError for a number of the engine's that is below its least value."""
    fields = dict(flat(config))
    positive = ["steps", "batch_size", "log_every", "save_every", "steps_per_call", "model_axis"]
    positive += ["cpu_devices", "eval.batch_size", "loader.threads", "loader.prefetch"]
    natural = ["eval.every", "eval.examples", "eval.test_examples", "eval.fit_examples", "eval.folds", "eval.gallery"]
    natural += ["loader.workers"]
    for least, names in ((1, positive), (0, natural)):
        for name in names:
            if fields[name] < least:
                raise UserError(f"config.{name} is {fields[name]}: it must be at least {least}")
