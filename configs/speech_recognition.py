"""Recognition of speech: units and words of the drawn speakers, by connectionist temporal classification.

configs/speech_recognition.py        the drawn speakers, any voice: three minutes on two cores
configs/speech_recognition.py:tiny   seconds, for a look and for the tests
configs/speech_recognition.py:read_aloud   letters of a folder like LJSpeech's: --config.data.path=DIR; those of its
                                     language by --config.data.letters and, how many, --config.model.units; half an
                                     hour on two cores

The judge `listener`, which ships and hears what others say, is the first one's result: `mmjax export-recogniser
WORKDIR`. That of your own language is the last one's: `mmjax export-recogniser WORKDIR FILE`, and in a run of
configs/tacotron2.py "--config.eval.judges=('listener:FILE',)".
"""

from ml_collections import ConfigDict

from mmjax.data.scenes import face
from mmjax.data.scenes.units import UNITS
from mmjax.data.sets.read_aloud import LETTERS
from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("speech_recognition", variant)
    c.steps = 1500
    c.batch_size = 8  # no two sentences come twice, and CTC needs many steps before it places its first unit
    c.eval.every, c.eval.examples, c.eval.test_examples, c.save_every = 500, 128, 500, 250
    c.best, c.best_mode = "nll", "min"

    c.frames = ConfigDict()  # arguments of ops.sound.speech_mel.SpeechMel
    c.frames.sample_rate, c.frames.n_fft, c.frames.hop = 22_050, 1024, 256
    c.frames.n_mels, c.frames.fmin, c.frames.fmax, c.frames.floor = 80, 0.0, 8000.0, 1e-5

    c.model = ConfigDict()  # arguments of models.sound.speech_recogniser.SpeechRecogniser
    c.model.units = len(UNITS)
    c.model.speaker = len(face.FACTORS)  # the hidden factors
    c.model.frames = 2  # 23 ms: half of the shortest unit of the fastest speaker
    c.model.width, c.model.layers, c.model.kernel = 64, 4, 5  # each step hears half a second
    c.model.dtype = "float32"

    c.loss = ConfigDict()
    c.loss.seconds = 5.0  # nineteen of twenty sentences are shorter
    c.loss.speaker = 3.0  # squared errors of factors in 0..1 are small beside nats

    c.optim.listener = base.adam(3e-3, warmup=100, decay="cosine", clip=1.0)
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 16, 8, 12, 4
    c.model.frames, c.model.width, c.model.layers, c.model.kernel = 4, 8, 1, 3
    c.loss.seconds = 4.0


def _read_aloud(c: ConfigDict) -> None:
    # An hour or two of sentences: the network is larger, as letters are harder, and sees each many times.
    c.data = ConfigDict({"name": "read_aloud", "path": "", "letters": LETTERS})
    c.steps, c.batch_size = 3000, 16
    c.model.units, c.model.speaker = len(LETTERS), 0
    c.model.width, c.model.layers, c.model.dropout = 192, 8, 0.2
    c.loss.seconds, c.loss.speaker = 8.0, 0.0
    c.optim.listener = base.adam(2e-3, warmup=100, decay="cosine", clip=1.0)


VARIANTS = {"": base.unchanged, "tiny": _tiny, "read_aloud": _read_aloud}
