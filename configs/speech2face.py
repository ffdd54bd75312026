"""Speech2Face (Oh et al. 2019): the face behind a voice, of parts that are trained apart and frozen then.

configs/speech2face.py                 drawn speakers, our face network and decoder: eight minutes on two cores
                                       (twelve without the extra onednn)
configs/speech2face.py:tiny            seconds, for a look and for the tests
configs/speech2face.py:faces           trains the face network on the same speakers: 270 s of one processor
configs/speech2face.py:talking_faces   the same of people who speak: it sees how the mouth is open, too
configs/speech2face.py:decoder         trains the face decoder on its features: 550 s of one processor
configs/speech2face.py:videos          a folder of your videos of people talking: --config.data.path=DIR
configs/speech2face.py:video_decoder   trains the decoder on their faces, --config.parts.landmarks=DIR of face-api
configs/speech2face.py:voices          a folder of speakers: Resemblyzer's features of them in the place of faces
configs/speech2face.py:paper           the paper's sizes: VGG-Face, 148,062,976 parameters in the voice encoder

The parts that ship with mmjax are the results of :faces and :decoder: `mmjax export-part WORKDIR` exports them.
"""

from ml_collections import ConfigDict

from mmjax.data.scenes import face
from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("speech2face", variant)
    c.part = "voice"  # what is trained: "face_network", "face_decoder" or "voice"
    c.factors = face.FACTORS  # that face and voice share, the columns of `speaker`; () where the data knows none
    c.persons = False  # whether the data's `group` tells whose faces are of one person: each speaker here is another
    c.data.face_size = 64
    c.data.voices = "held_out"  # half of the test speakers are of regions that training never hears

    c.parts = ConfigDict()  # "shipped", the workdir of a run of :faces or :decoder, or a file
    c.parts.face = "shipped"  # also VGG-Face's weights, or the folder `model` of the npm package @vladmandic/face-api
    c.parts.decoder = "shipped"  # "" draws no face, and leaves the term of its first layer out

    c.steps, c.batch_size = 2800, 8  # of as many examples more is learnt in smaller batches
    c.eval.every, c.eval.examples, c.save_every = 1400, 256, 500
    c.eval.fit_examples = 2000  # of the maps from factors to features and back
    c.best = "feature_cosine"

    c.hearing = ConfigDict()  # arguments of models.sound.voice_encoder.Hearing
    c.hearing.rate = 16_000
    c.hearing.seconds = 6.0  # shorter utterances are repeated
    c.hearing.window = 0.025
    c.hearing.hop = 0.023125  # 370 samples: 259 frames, the fewest that the encoder takes, are all of 6 s
    c.hearing.n_fft = 400  # the window: nothing is padded
    c.hearing.bins = 76  # up to 3 kHz, where two formants of the drawn voices are; 0 = all 201
    c.hearing.power = 0.3

    c.model = ConfigDict()  # arguments of models.sound.voice_encoder.VoiceEncoder
    c.model.width = 0.125  # of the paper's channels
    c.model.hidden = 256
    c.model.dtype = "float32"  # "bfloat16" on accelerators

    c.loss = ConfigDict()
    c.loss.first_layer = 1.0
    c.loss.direction = 0.025
    c.loss.distillation = 200.0
    c.loss.temperature = 2.0
    # Seconds: training hears a piece of each utterance, from here up to all of it; 0 = all. With 1 the cosine was .785
    # after 600 steps of 16, with 2 .844.
    c.loss.shortest = 2.0

    c.optim.voice = base.adam(2e-3, warmup=50, decay="cosine")
    return base.choose(c, VARIANTS)


def _measured(c: ConfigDict) -> None:
    """What the default was when these variants were measured."""
    c.batch_size = 16
    c.hearing.hop, c.hearing.n_fft, c.hearing.bins = 0.02, 512, 96
    c.loss.shortest = 1.0


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.hearing.rate, c.hearing.window, c.hearing.n_fft, c.hearing.bins = 4000, 0.016, 64, 0
    c.model.width, c.model.hidden = 0.03125, 8
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 16, 8, 12, 4
    c.eval.fit_examples = 16


def _only(c: ConfigDict, part: str) -> None:
    """Without what the voice alone needs."""
    c.part = part
    for section in ("hearing", "model", "loss"):
        c[section] = ConfigDict()
    c.optim = ConfigDict()
    c.batch_size = 32


def _faces(c: ConfigDict) -> None:
    _only(c, "face_network")
    del c.parts
    c.levels = 3  # low, middle and high of each factor: 81 kinds of people
    c.steps = 3000  # identity_accuracy .79 on the test split, KL .07
    c.eval.every, c.eval.examples, c.save_every = 500, 512, 500
    c.best, c.best_mode = "identity_kl", "min"
    c.model = ConfigDict()  # arguments of models.vision.face_network.FaceNetwork, which `loss.mouth` has see mouths
    c.model.features = 128
    c.model.widths = (24, 48, 96)
    c.model.depths = (1, 1, 2)
    c.model.dtype = "float32"
    c.loss.thumbnail = 1.0  # of the picture's colours: what people differ in and no voice tells
    c.loss.flip = True
    c.optim.face_network = base.adam(3e-3, name="adamw", weight_decay=0.01, warmup=100, decay="cosine", clip=1.0)


def _talking_faces(c: ConfigDict) -> None:
    _faces(c)
    c.data.moment, c.data.face_size = "speaking", 48  # as configs/separation.py:speech has them
    c.loss.mouth = 20.0  # of squared errors that are .09 of the mean mouth


def _decoder(c: ConfigDict) -> None:
    _only(c, "face_decoder")
    del c.parts.decoder
    c.parts.landmarks = ""  # the data's; or face-api's folder, whose network finds them where the data knows none
    c.steps = 2500  # picture_error every 500 steps: .061, .046, .041, .039, .038
    c.eval.every, c.eval.examples, c.save_every = 500, 256, 500
    c.best, c.best_mode = "picture_error", "min"
    c.model = ConfigDict()  # arguments of models.drawing.face_decoder.FaceDecoder
    c.model.first = 256
    c.model.grid, c.model.widths = 4, (64, 48, 32, 24, 16)  # 64 pixels
    c.model.shape = (128,)
    c.model.points = 68
    c.model.dtype = "float32"
    c.loss.landmarks = 100.0  # squared shares of the picture are small numbers
    c.loss.texture = 1.0
    c.loss.picture = 1.0
    c.loss.feature = 0.3
    c.optim.face_decoder = base.adam(2e-3, warmup=100, decay="cosine", clip=1.0)


def _videos(c: ConfigDict) -> None:
    _measured(c)
    c.data = ConfigDict({"name": "talking_videos", "path": "", "seconds": 6.0, "size": 224})
    c.factors = ()  # nobody knows them
    c.persons = True  # clips of one video; a name is text, which is scored on one process only
    c.parts.face, c.parts.decoder = "", ""  # say which: VGG-Face's weights, or face-api's folder
    c.hearing.hop, c.hearing.bins = 0.01, 0
    c.steps = 3000
    c.loss.first_layer = 0.0


def _video_decoder(c: ConfigDict) -> None:
    _decoder(c)
    c.data = ConfigDict({"name": "talking_videos", "path": "", "size": 224})
    c.factors = ()
    c.parts.face = ""  # as for :videos; parts.landmarks must be face-api's folder


def _voices(c: ConfigDict) -> None:
    _measured(c)
    c.data = ConfigDict({"name": "speakers", "path": "", "seconds": 4.0})
    c.factors = ()
    c.parts.face, c.parts.decoder = "resemblyzer", ""  # or "resemblyzer:FILE"
    c.steps = 300
    c.eval.every, c.save_every = 150, 150
    c.loss.first_layer = c.loss.distillation = 0.0  # of a decoder and of identities, which there are not
    c.loss.direction = 1.0


def _paper(c: ConfigDict) -> None:
    _videos(c)
    c.persons = False  # on any number of processes
    c.model.width, c.model.hidden, c.model.dtype = 1.0, 4096, "bfloat16"
    c.loss.first_layer = 1.0
    c.loss.shortest = 0.0
    c.batch_size = c.eval.batch_size = 8
    c.steps = 640_000  # 3 epochs of 1.7 million pairs
    c.log_every, c.save_every, c.eval.every = 100, 10_000, 10_000
    c.eval.test_examples = 5000
    c.loader.workers = 8
    # The paper's rate falls by a twentieth every 10,000 steps, here as much in small steps.
    c.optim.voice = base.adam(1e-3, b1=0.5, eps=1e-4, decay="exponential", decay_rate=0.95**1e-4)


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "faces": _faces,
    "talking_faces": _talking_faces,
    "decoder": _decoder,
    "videos": _videos,
    "video_decoder": _video_decoder,
    "voices": _voices,
    "paper": _paper,
}
