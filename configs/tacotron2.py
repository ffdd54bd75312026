"""Tacotron 2 (Shen et al. 2018).

configs/tacotron2.py            the drawn speakers' units, any voice: 13 minutes on two cores
configs/tacotron2.py:tiny       seconds, for a look and for the tests
configs/tacotron2.py:learned    units that a run of configs/units.py hears: --config.units=WORKDIR; no text
configs/tacotron2.py:folder     the same on one voice of your own spoken captions: also --config.data.path=DIR; on all
                                their voices with --config.voice=resemblyzer
configs/tacotron2.py:read_aloud one voice on a folder like LJSpeech's, light: --config.data.path=DIR; letters other than
                                English by --config.data.letters and, how many, --config.model.symbols
configs/tacotron2.py:nvidia     NVIDIA's sizes and settings on the same units: an accelerator
configs/tacotron2.py:ljspeech   NVIDIA's sizes on a folder like LJSpeech's: --config.data.path=DIR; an accelerator
"""

from ml_collections import ConfigDict

from mmjax.data.scenes.units import UNITS
from mmjax.data.sets.read_aloud import LETTERS
from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("tacotron2", variant)
    c.steps = 3600  # at 600 it is aligned, and nobody understands it
    c.batch_size = 8  # twice the updates of 16 for as many sentences
    c.eval.every, c.save_every = 1200, 400
    c.eval.examples, c.eval.test_examples = 64, 128  # each is spoken, step by step
    c.eval.judges = ("listener",)
    c.best, c.best_mode = "mel_error", "min"

    c.units = ""  # workdir of configs/units.py; "" for the units that the data knows
    # What hears in the recording who speaks: "resemblyzer", or "resemblyzer:FILE"; "" for the `speaker` of the data.
    # Where there is no recording, as of text that is typed and of exports, the mean voice of training speaks.
    c.voice = ""
    c.weights = ""  # a file of NVIDIA's or torchaudio's to start from
    c.vocoder = ""  # a file of HiFi-GAN's generator V1; Griffin-Lim where there is none

    c.frames = ConfigDict()  # arguments of ops.sound.speech_mel.SpeechMel: NVIDIA's
    c.frames.sample_rate, c.frames.n_fft, c.frames.hop = 22_050, 1024, 256
    c.frames.n_mels, c.frames.fmin, c.frames.fmax, c.frames.floor = 80, 0.0, 8000.0, 1e-5
    c.sentences = ConfigDict()
    c.sentences.mean, c.sentences.scale = -7.0, 3.8  # of log-mel values of drawn speech, measured
    c.sentences.seconds = 4.4  # nine of ten sentences are shorter; the others are left out
    c.sentences.units = 64

    c.model = ConfigDict()  # arguments of models.sound.tacotron2.Tacotron2
    c.model.symbols = len(UNITS)
    c.model.speaker = 4  # the hidden factors
    c.model.reduction = 4  # with one frame a step it often never aligns, and takes four times as long
    c.model.embed, c.model.prenet = 128, 64
    c.model.attention_units, c.model.decoder_units = 192, 192
    c.model.attention, c.model.filters, c.model.window = 64, 16, 15
    c.model.postnet_layers, c.model.postnet_units = 3, 96
    # Tens of thousands of different sentences in any voice: nothing to learn by heart. Error of mel after 600 steps of
    # 16: 1.55 with 0.1 in both, 1.33 without, 1.10 at a rate of 4e-3 in place of 2e-3; 0.89 after 1,000 steps of 8.
    c.model.dropout = c.model.state_dropout = 0.0
    c.model.dtype = "float32"

    c.loss = ConfigDict()
    c.loss.gate = 1.0
    c.loss.positive = 5.0  # one step of eighty is the last
    c.loss.guide = 5.0  # guided attention
    c.loss.width = 0.1  # drawn speakers keep their pace: three units of thirty-five

    c.speak = ConfigDict()
    c.speak.seconds = 6.0
    c.speak.threshold = 0.5
    c.speak.n_iter = 32  # of Griffin-Lim

    c.optim.speech = base.adam(4e-3, warmup=50, decay="cosine", clip=1.0)
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 16, 8, 12, 4
    c.sentences.seconds = 5.0
    c.model.reduction = 8
    c.model.embed, c.model.prenet, c.model.encoder_layers = 8, 8, 1
    c.model.attention_units, c.model.decoder_units = 8, 8
    c.model.attention, c.model.filters, c.model.window = 8, 2, 3
    c.model.postnet_layers, c.model.postnet_units = 2, 8
    c.speak.seconds, c.speak.n_iter = 1.0, 2


def _learned(c: ConfigDict) -> None:
    # Voices are all: no fewer than the units' run heard, and the same sentences as of true units.
    c.model.symbols = 0  # as many as that run has
    c.sentences.units = 220  # a code lasts 20 ms, so that no sentence of 4.4 s has more
    c.model.window = 31  # a true unit is heard as three and more


def _folder(c: ConfigDict) -> None:
    _learned(c)
    c.data = ConfigDict({"name": "spoken_captions", "path": ""})
    c.sentences.mean, c.sentences.scale = -6.0, 2.6  # of log-mel values of flite's speech, measured
    c.model.speaker = 0  # one voice: --config.data.voices names the others; many with --config.voice
    c.model.dropout, c.model.state_dropout = 0.5, 0.1  # as :read_aloud; without, mel error 0.2 in training, 1.5 after
    c.eval.judges = ("pocketsphinx",)  # the listener knows the words of the drawn speakers' sentences


def _read_aloud(c: ConfigDict) -> None:
    # An hour of one voice at best: each sentence comes many times, and is learned by heart without dropout.
    c.data = ConfigDict({"name": "read_aloud", "path": "", "letters": LETTERS})
    c.eval.judges = ()  # the listener knows the words of the drawn speakers' sentences; "listener:FILE" knows others'
    c.model.symbols, c.model.speaker = len(LETTERS), 0
    c.model.dropout, c.model.state_dropout = 0.5, 0.1  # NVIDIA's
    c.sentences.mean, c.sentences.scale = -6.0, 2.6
    c.sentences.seconds, c.sentences.units = 6.0, 100
    c.speak.seconds = 8.0
    c.loss.width = 0.2  # a reader stops where he likes


def _nvidia(c: ConfigDict) -> None:
    c.sentences.mean, c.sentences.scale = 0.0, 1.0
    c.sentences.seconds, c.sentences.units = 8.0, 80
    c.model = ConfigDict({"symbols": len(UNITS), "speaker": 4, "reduction": 1, "dtype": "float32"})
    c.loss.positive, c.loss.guide = 1.0, 0.0
    c.batch_size, c.steps = 64, 100_000
    c.log_every, c.save_every, c.eval.every = 100, 2000, 5000
    c.eval.examples, c.eval.test_examples = 512, 2000
    c.loader.workers = 8
    c.speak.seconds = 10.0
    c.optim.speech = base.adam(1e-3, clip=1.0, weight_decay=1e-6)


def _ljspeech(c: ConfigDict) -> None:
    _nvidia(c)
    c.data = ConfigDict({"name": "read_aloud", "path": ""})
    c.eval.judges = ()  # the listener knows the words of the drawn speakers' sentences
    c.model.symbols, c.model.speaker = len(LETTERS), 0  # torchaudio's letters: its published weights fit
    c.sentences.seconds, c.sentences.units = 10.3, 190
    c.speak.seconds = 12.0


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "learned": _learned,
    "folder": _folder,
    "read_aloud": _read_aloud,
    "nvidia": _nvidia,
    "ljspeech": _ljspeech,
}
