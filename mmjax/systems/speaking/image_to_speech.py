"""A picture speaks: what one trained run says of it in units, another says aloud (Hsu et al. 2020).

Hsu, Harwath, Miller and Glass 2020, "Text-Free Image-to-Speech Synthesis Using Learned Segmental Units". Nothing is
trained here. The chain is judged as the field does it, by what is heard: an independent recogniser writes down the
speech, and its words are scored against the captions that people wrote.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from jax import numpy as jnp
from jaxtyping import Array, Int, Key, UInt8
from ml_collections import ConfigDict

from mmjax import errors, systems
from mmjax.errors import OptionError
from mmjax.known import units_run
from mmjax.known.whole_run import WholeRun
from mmjax.metrics import caption, recognised
from mmjax.systems.speaking import judged_speech, saying, tacotron2
from mmjax.systems.speaking.judged_speech import Judges
from mmjax.task import Batch, Constants, Figures, Task, Variables, bind
from mmjax.text import vocabulary

PICTURE_SYSTEM = "image_to_units"
BASELINES = ("nearest_picture", "random")  # of the run of pictures, where it has them
TRUE, HEARD, RECORDING = "/true_units", "/recording_units", "/recording"
ANOTHER, SILENCE = "/another_picture", "/silence"
FIGURES = ("bleu4", "rouge_l", "cider_d")
END = vocabulary.SPECIAL[vocabulary.END].encode()
PREFIX = "text/heard_of_"


@dataclasses.dataclass(frozen=True)
class Chain:
    """Who sees and who speaks; hashable, and equal by value.

    Attributes:
      picture: says "text/<says>" of pictures, names of units; None for the true units in its place.
      says: "caption", found by beam search, or "sampled", drawn.
      speech: says units aloud.
      runs: {"picture": .., "speech": ..}: where their weights are; a part without a run is fresh.
    """

    picture: Task | None
    says: str
    speech: saying.Network
    runs: tuple[tuple[str, WholeRun], ...]


def build(config: ConfigDict) -> Task:
    """The task of a config with sections model, frames, sentences, speak and decode and fields units, says, speech."""
    runs: dict[str, WholeRun] = {}
    picture = None
    if config.units:
        runs["picture"] = WholeRun(str(config.units), PICTURE_SYSTEM, "config.units")
        about = runs["picture"].config
        about.update(ConfigDict({name: section for name, section in (("decode", config.decode),) if section}))
        picture = systems.build(about)
    about, learned = config, ""
    if config.speech:
        runs["speech"] = WholeRun(str(config.speech), "tacotron2", "config.speech")
        about = runs["speech"].config
        learned = about.get("units", "")
    if "picture" in runs and bool(runs["picture"].config.units) != bool(learned):
        whose = {True: "learned units", False: "true units"}
        raise OptionError(
            "config.units",
            f"={config.units!r} says {whose[not learned]}, config.speech={config.speech!r} {whose[bool(learned)]}: "
            "both must be of one run of configs/units.py, or neither of any",
        )
    with errors.section("config.model"):
        network = saying.network_of(about, units_run.load(learned, "config.speech: units") if learned else None)
    chain = Chain(picture, config.says, network, tuple(runs.items()))
    listeners = judged_speech.chosen(config, network.spec.sample_rate)
    spoken = (*network.fields, "speech", "speech_length", *network.who)
    medium = "speech" if network.run else "words"
    given = {"picture": ("image",)} if picture else {medium: network.fields[:1]}
    return Task(
        fields=tuple(dict.fromkeys(("image", *spoken, *(picture.fields if picture else ())))),
        init=bind(init, chain),
        fill=bind(fill, chain),
        needs=(bind(check_units, chain),),
        updates=(),
        metrics=_nothing,
        predict=bind(predict, chain, listeners, **config.speak),
        score=score,
        on_host=judged_speech.on_host(listeners),
        references=("captions",),
        judges=listeners,
        ask=None if picture or network.run else bind(ask, chain),
        modalities=given,  # whose voice it is changes how it sounds, and not what is said
        names={"ended": tacotron2.ENDED},
        sample_rate=network.spec.sample_rate,
        predicts_from=("image",) if picture else network.fields,
        answers=("text/units", "text/heard", "label/ended", "audio/speech"),
        headline=("cider_d", "bleu4", "rouge_l"),
    )


def check_units(chain: Chain) -> None:
    """Raises OptionError where what is seen and what is spoken are not the units of one run: numbers and names may be
    the same, and mean something else."""
    hearing = {name: run.hearing for name, run in chain.runs} if chain.speech.run else {}
    if len(hearing) == 2 and not _same(*hearing.values()):
        paths = {name: run.path for name, run in chain.runs}
        raise OptionError(
            "config.units",
            f"={paths['picture']!r} says units of another run, or of another step of it, than "
            f"config.speech={paths['speech']!r}: train both with one --config.units",
        )


def _same(one: Any, other: Any) -> bool:
    found, wanted = (traverse_util.flatten_dict(weights) for weights in (one, other))
    return found.keys() == wanted.keys() and all(np.array_equal(found[name], wanted[name]) for name in found)


def _nothing(variables: Variables, batch: Batch) -> Figures:
    """No figure of examples by themselves: what is heard is scored over a split."""
    return {}


def init(chain: Chain, key: Key[Array, ""], batch: Batch) -> Variables:
    """The trees of both runs' variables; a voice without a run is fresh."""
    frozen = {
        name: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), run.shapes) for name, run in chain.runs
    }
    if "speech" not in frozen:
        frozen["speech"] = tacotron2.init(chain.speech, key, batch)
    return {"params": {}, "state": {}, "frozen": frozen}


def fill(chain: Chain, variables: Variables, constants: Constants) -> Variables:
    """What the runs learned."""
    del constants
    return {**variables, "frozen": {**variables["frozen"], **{name: run.load() for name, run in chain.runs}}}


def ask(chain: Chain, text: str, variables: Variables, constants: Constants) -> tuple[Batch, tuple[str, ...]]:
    """See `tacotron2.ask`: where no run sees, a user types what is said."""
    return tacotron2.ask(chain.speech, text, variables["frozen"]["speech"], constants)


def numbered(
    words: UInt8[Array, "b t letters"], names: UInt8[Array, "v letters"], most: int
) -> tuple[Int[Array, "b most"], Int[Array, " b"]]:
    """Numbers of symbols that are spelled, up to the first <end>; a word that is no symbol is passed over.

    Args:
      words: UTF-8, zeros behind.
      names: of the symbols, likewise.
      most: symbols that are kept.

    Returns:
      int32, 0 behind the last, and how many.
    """
    width = max(words.shape[2], names.shape[1], len(END))
    words, names = (jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, width - x.shape[-1])]) for x in (words, names))
    end = np.zeros(width, np.uint8)
    end[: len(END)] = list(END)
    going = jnp.cumsum(jnp.all(words == end[None, None], -1), 1) == 0
    same = jnp.all(words[:, :, None] == names[None, None], -1)  # b t v
    where = going & jnp.any(same, -1)
    order = jnp.argsort(~where, axis=1, stable=True)
    length = jnp.minimum(jnp.sum(where, 1, dtype=jnp.int32), most)
    found = jnp.take_along_axis(jnp.argmax(same, -1).astype(jnp.int32), order, 1)
    found = jnp.pad(found, ((0, 0), (0, max(0, most - found.shape[1]))))[:, :most]
    return jnp.where(jnp.arange(most)[None] < length[:, None], found, 0), length


def predict(
    chain: Chain, listeners: Judges, variables: Variables, batch: Batch, key: Key[Array, ""], **speaking: Any
) -> dict[str, Array]:
    """Each picture's units and how they sound; where a listener is there, what is heard of them and of the baselines.

    A picture is spoken by the voice of the batch, or the mean voice. `speaking` are the options of `saying.speak`.
    """
    of_picture, of_speech = jax.random.split(key)
    voice, names = variables["frozen"]["speech"], variables["frozen"]["speech"]["frozen"]["units_names"]
    batch = saying.listened(chain.speech, voice, batch)
    who, judging = saying.who(chain.speech, voice, batch), judged_speech.there(listeners, variables)

    def heard(name: str, units: Array, length: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        """What is said, and what is understood of it."""
        found = saying.speak(chain.speech, voice, units, jnp.maximum(length, 1), who, of_speech, **speaking)
        samples = jnp.where(length > 0, found["frames"] * chain.speech.spec.hop, 0)  # who says nothing is silent
        return found, words(name, found["sound"], samples)

    def words(name: str, sound: Array, samples: Array) -> dict[str, Array]:
        return judged_speech.listen(listeners, variables, name, sound, samples)[0] if judging else {}

    true = saying.said(chain.speech, batch) if "units" in batch else None
    seen: dict[str, Any] = {}
    if chain.picture is not None:
        seen = chain.picture.predict(variables["frozen"]["picture"], batch, of_picture)
        if f"text/{chain.says}" not in seen:
            raise OptionError("config.says", f"is {chain.says!r}: choose 'caption' or 'sampled'")
    spoken = {
        suffix: numbered(seen[f"text/{name}"], names, chain.speech.units)
        for suffix, name in {"": chain.says, **{f"/{name}": name for name in BASELINES}}.items()
        if f"text/{name}" in seen
    }
    if true is not None:
        spoken = {**spoken, HEARD if chain.speech.run else TRUE: true} if spoken else {"": true}
    units, length = spoken[""]
    found, understood = heard("heard", units, length)
    where = jnp.arange(units.shape[1])[None] < length[:, None]
    out = {
        "text/units": jnp.where(where[..., None], names[units], jnp.uint8(0)),
        "audio/speech": jnp.where((length > 0)[:, None], found["sound"], 0.0),
        "heatmap/alignment": jnp.swapaxes(found["attention"], 1, 2),
        "heatmap/mel": jnp.swapaxes(found["log_mel"], 1, 2),
        "label/ended": found["fired"].astype(jnp.int32),
        **({"image/picture": batch["image"]} if "image" in batch else {}),
        **{key: value for key, value in seen.items() if key.startswith("attention/")},
    }
    if not judging:
        return out
    out |= understood
    for suffix, (units, length) in spoken.items():
        if suffix:
            out |= heard(f"heard_of_{suffix[1:]}", units, length)[1]
    if "speech" in batch:
        sound, samples = batch["speech"].astype(jnp.float32) / 32768, batch["speech_length"]
        out |= words(f"heard_of_{RECORDING[1:]}", sound, samples)
    return out


def score(predictions: Mapping[str, np.ndarray], references: Mapping[str, Any]) -> Figures:
    """BLEU-4, ROUGE-L and CIDEr-D of what is heard against all captions of each picture that has captions in writing.

    Beside: silence; what is heard of another picture, one with other captions; the units of the nearest training
    picture and of a random one, spoken; the true units of one of the captions, spoken, or where units are learned those
    heard in its recording; and the recording itself, which no network sees.
    """
    if "text/heard" not in predictions:
        return {}
    people = [list(map(str, several)) for several in references["captions"]]
    told = [n for n, several in enumerate(people) if several]
    if not told:
        return {}
    people = [people[n] for n in told]
    texts = {"": predictions["text/heard"]}
    texts |= {f"/{key.removeprefix(PREFIX)}": value for key, value in predictions.items() if key.startswith(PREFIX)}
    kept = {suffix: judged_speech.texts(np.asarray(rows)[np.array(told)]) for suffix, rows in texts.items()}
    said = {suffix: [" ".join(words) for words in rows] for suffix, rows in kept.items()}
    if another := recognised.others(people):
        said[ANOTHER] = [said[""][n] for n in another]
    said[SILENCE] = [""] * len(people)
    found = {suffix: caption.scores(heard, people) for suffix, heard in said.items()}
    return {f"{figure}{suffix}": scores[figure] for figure in FIGURES for suffix, scores in found.items()}
