"""A picture speaks: image to units, units to speech, and what is heard of it (Hsu et al. 2020).

    python train.py --config=configs/image_to_units.py --workdir=runs/image_to_units
    python train.py --config=configs/tacotron2.py --workdir=runs/tacotron2
    python train.py --config=configs/image_to_speech.py --config.units=runs/image_to_units \\
        --config.speech=runs/tacotron2 --workdir=runs/image_to_speech
    mmjax predict runs/image_to_speech picture.png -o out.wav

configs/image_to_speech.py        the joined chain on held-out pictures; nothing is trained
configs/image_to_speech.py:tiny   seconds, for a look and for the tests: a voice that learned nothing
configs/image_to_speech.py:folder spoken captions of your own pictures: --config.data.path=DIR, runs of `:folder`, too

Without `units` the true units of one of the captions are spoken: what a network of pictures is measured against.
Without any text, by units that a run hears in speech:

    python train.py --config=configs/units.py --workdir=runs/units
    python train.py --config=configs/image_to_units.py:learned --config.units=runs/units --workdir=runs/pictures
    python train.py --config=configs/tacotron2.py:learned --config.units=runs/units --workdir=runs/voice
    python train.py --config=configs/image_to_speech.py --config.units=runs/pictures --config.speech=runs/voice \\
        --workdir=runs/textless
"""

from ml_collections import ConfigDict

from mmjax.data.scenes.units import UNITS
from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("image_to_speech", variant)
    c.steps = 1  # nothing is trained
    c.batch_size = 1
    c.eval.every, c.save_every = 0, 1
    c.eval.test_examples = 128  # each is spoken, step by step, several times
    c.eval.judges = ("listener",)

    c.units = ""  # workdir of configs/image_to_units.py; "" for the true units
    c.speech = ""  # workdir of configs/tacotron2.py; "" for a fresh network of the sizes below
    c.says = "caption"  # of that run: by beam search; or "sampled", drawn, each time anew: mmjax predict --seed
    c.decode = ConfigDict()  # in place of that run's own options of beam search

    c.vocoder = ""  # of a fresh network, as the next three
    c.frames = ConfigDict()  # as configs/tacotron2.py has them
    c.frames.sample_rate, c.frames.n_fft, c.frames.hop = 22_050, 1024, 256
    c.frames.n_mels, c.frames.fmin, c.frames.fmax, c.frames.floor = 80, 0.0, 8000.0, 1e-5
    c.sentences = ConfigDict({"mean": -7.0, "scale": 3.8, "seconds": 4.4, "units": 64})
    c.model = ConfigDict({"symbols": len(UNITS), "speaker": 4})  # arguments of models.sound.tacotron2.Tacotron2

    c.speak = ConfigDict()
    c.speak.seconds = 6.0
    c.speak.threshold = 0.5
    c.speak.n_iter = 32  # of Griffin-Lim
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.batch_size = 8
    c.eval.batch_size, c.eval.test_examples, c.eval.gallery = 16, 12, 4
    c.data.image_size = 32
    c.model.reduction = 8
    c.model.embed, c.model.prenet, c.model.encoder_layers = 8, 8, 1
    c.model.attention_units, c.model.decoder_units = 8, 8
    c.model.attention, c.model.filters, c.model.window = 8, 2, 3
    c.model.postnet_layers, c.model.postnet_units = 2, 8
    c.speak.seconds, c.speak.n_iter = 1.0, 2


def _folder(c: ConfigDict) -> None:
    c.data = ConfigDict({"name": "spoken_captions", "path": ""})
    c.eval.judges = ("pocketsphinx",)  # the listener knows the words of the drawn speakers' sentences


VARIANTS = {"": base.unchanged, "tiny": _tiny, "folder": _folder}
