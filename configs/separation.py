"""Sounds picked out of mixtures: of a thing by its picture (Sound of Pixels, Zhao et al. 2018), of a speaker by his
face (Looking to Listen, Ephrat et al. 2018), or by face and lips (VisualVoice, Gao and Grauman 2021).

configs/separation.py               sounding scenes of one object each, two mixed
configs/separation.py:tiny          seconds, for a look and for the tests
configs/separation.py:audio_only    the default without pictures: its masks are compared in the best order
configs/separation.py:stamps        Tux Paint's stamps with their sounds, the extra `pretrained`
configs/separation.py:instruments   notes of a sound font never heard, with pictures of their instruments, likewise
configs/separation.py:videos        a folder of your videos, each of one thing that sounds: --config.data.path=DIR
configs/separation.py:paper_pixels  the paper's sizes on a folder of videos, on an accelerator
configs/separation.py:speech        Looking to Listen: two drawn speakers, told apart by their moving faces
configs/separation.py:speech_only   the same without faces: its masks are compared in the best order
configs/separation.py:speakers3     three speakers
configs/separation.py:reference     two voices of a folder of speakers, told apart by another recording of each, heard
                                    by Resemblyzer: --config.data.path=DIR; alone: --config.network=voices_only
configs/separation.py:noise         one speaker in the ambience of a scene
configs/separation.py:paper_speech  the paper's sizes on a folder of videos of people talking, on an accelerator
configs/separation.py:visualvoice   VisualVoice's sizes on your mouths, faces and voices, on an accelerator
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("separation", variant)
    c.steps, c.batch_size = 2700, 16
    c.eval.every, c.save_every = 450, 450
    c.feature_cache = ""  # of 100,000 pictures a run sees a part, and each costs less than it takes to draw
    c.eval.examples, c.eval.test_examples = 64, 400

    c.network = "sound_of_pixels"  # or "audio_only"
    c.vision = "image"  # or "frames"
    c.classes = "label"  # the field of classes; "" = the data has none
    c.released = ""  # a folder with sound_best.pth, frame_best.pth and synthesizer_best.pth

    # 65,023 samples are 128 frames, as many as there are rows: each level of the network halves both.
    c.sound = ConfigDict({"rate": 22_050, "n_fft": 1024, "hop": 512, "rows": 128})
    c.mixing = ConfigDict({"sources": 2, "spread_db": 3.0, "unlike": True, "level": 0.1, "silence_db": -60.0})
    c.data.objects = (1, 1)  # one thing is seen, and it alone is heard
    c.data.seconds = 2.9489
    _list(c, "label")

    c.encoder = ConfigDict()  # arguments of known.encoders.make
    # Our small network that knows the things of these pictures, as the paper's comes with ImageNet's weights: with one
    # from scratch the masks of two pictures were still one and the same after 300 steps.
    c.encoder.name = "recogniser"
    c.encoder.layer = ""  # its last map
    c.encoder.weights = ""
    c.encoder.widths = (32, 64, 96)  # of "scene", which is trained from scratch
    c.encoder.dtype = "float32"
    c.train_encoder = False
    c.encoder_statistics = "running"  # of BatchNorm, where it is trained
    c.model = ConfigDict({"maps": 16, "levels": 5, "width": 16, "dtype": "float32"})
    # Weighted by magnitude, since what is loud decides the figures: on the validation split 4.5 dB after 900 steps,
    # 3.7 after 1,000 with the paper's logarithm.
    c.loss = ConfigDict({"mask": "ratio", "penalty": "bce", "weight": "magnitude", "threshold": 0.0})
    c.bss_taps = 512  # of the distortion that SDR, SIR and SAR forgive: BSS eval's; 0: without these figures
    c.chunk = ConfigDict({"seconds": 2.9489, "overlap": 0.25})  # in which a user's sound is separated
    c.optim.separator = base.adam(3e-3, warmup=50, decay="cosine")
    return base.choose(c, VARIANTS)


def _list(c: ConfigDict, unlike: str) -> None:
    """The held-out splits as lists of mixtures like training's."""
    c.classes = unlike
    c.mixing.unlike = bool(unlike)
    c.data.mixtures = ConfigDict({"unlike": unlike, "examples": 1000, "seed": 0})
    c.data.mixtures.sources = c.mixing.get_oneway_ref("sources")
    c.data.mixtures.silence_db = c.mixing.get_oneway_ref("silence_db")


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 4, 8
    c.data.image_size, c.data.seconds = 32, 1.0
    c.encoder.name, c.train_encoder, c.encoder_statistics = "scene", True, "batch"
    c.sound.n_fft, c.sound.hop, c.sound.rows = 510, 340, 64
    c.model.maps, c.model.levels, c.model.width = 4, 2, 4
    c.encoder.widths = (8, 8, 8)
    c.chunk.seconds = 1.0
    c.bss_taps = 0
    c.log_every, c.save_every, c.eval.every = 2, 2, 2
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 16, 8, 12, 4
    c.data.mixtures.examples = 16


def _audio_only(c: ConfigDict) -> None:
    c.network = "audio_only"


def _features(c: ConfigDict) -> None:
    """ImageNet's weights, as they are; what they make of a picture is kept."""
    c.encoder.name, c.encoder.layer = "efficientnet_lite0", "stage5"  # 14 x 14 places of 112 channels
    c.feature_cache = "workdir"
    c.loader.clip_seconds = 2.9489
    c.model.maps = 32


def _stamps(c: ConfigDict) -> None:
    _features(c)
    # Split by caption: no sound of the test was ever heard, and no thing of it seen.
    c.data = ConfigDict({"name": "tux_stamps", "sound": "effects"})
    _list(c, "")  # its classes are folders: two animals may be mixed


def _instruments(c: ConfigDict) -> None:
    _features(c)
    # Four notes a clip: one would say little of what an instrument sounds like. With 64 takes training has 2,816 clips.
    c.data = ConfigDict({"name": "instruments", "notes": 4, "seconds": 2.9489, "takes": (64, 8, 16)})
    _list(c, "label")


def _videos(c: ConfigDict) -> None:
    _features(c)
    c.data = ConfigDict({"name": "video_folder", "path": "", "seconds": 2.9489, "frames": 1, "size": 224})
    _list(c, "")


def _speech(c: ConfigDict) -> None:
    for section in ("vision", "released", "encoder", "train_encoder", "encoder_statistics", "loss", "chunk"):
        del c[section]
    c.network = "looking_to_listen"  # or "voices_only"
    c.seconds = 2.0  # of a clip: half of the utterances last no longer
    c.power = 0.5  # .3 in the paper: what is loud decides the figures, and weighs more so
    # The paper's network hears real and imaginary part alone, from which few channels hardly learn how loud a bin is.
    # Of `:speech_only` the loss was 0.069 after 400 steps, and without it and half of the units 0.084 (trivial: 0.089).
    c.magnitude = True
    # None in the paper. Whose a voice is can only be learnt of voices that are apart, and masks that are one half lose
    # less than those that are taken for each other's: with 0 a network of half of the units still had these after
    # 1,000 steps.
    c.order_free = 0.75
    c.data = ConfigDict({"name": "sounding_scenes", "face_size": 48, "voices": "held_out"})
    _list(c, "")
    c.data.mixtures.field = "speech"
    c.mixing.noise_db = ()
    # The band of a telephone; a frame a picture, whose window of 64 ms tells the harmonics of one voice from those of
    # the other: ideal ratio masks reach 12.1 dB, and 9.8 with windows of 32 ms every 20 ms.
    c.sound = ConfigDict({"rate": 8000, "n_fft": 512, "hop": 320})
    c.faces = ConfigDict()  # arguments of models.vision.face_network.FaceEmbedding, trained along with the rest
    # A network that is not trained any more, as the paper's is, see known.face_parts.face; "": one from scratch. This
    # one was asked how mouths are open; "shipped" was shown closed ones only.
    c.faces.weights = "shipped_talking"
    c.faces.features = 64
    c.faces.widths = (8, 16, 32)
    c.faces.depths = (1, 1, 1)
    c.faces.dtype = "float32"
    c.model = ConfigDict()  # arguments of models.joint.looking_to_listen.LookingToListen
    c.model.width, c.model.faces, c.model.units, c.model.hidden = 8, 32, 256, 512
    # Not in the paper: who somebody is stands still and is most of what there is to see, and the mouth drowns in it.
    c.model.moving = True
    c.model.depth = 2  # of 6: each layer costs as much as all faces
    c.model.summed = False  # in the paper's sizes the directions are added up, as in the public ports
    c.model.bound = 0.0  # K of masks K tanh(.); 0: none
    c.model.dtype = "float32"
    c.steps, c.eval.every, c.save_every = 1600, 400, 400
    c.optim.separator = base.adam(2e-3, warmup=50, decay="cosine", clip=1.0)
    c.eval.test_examples = 800


def _speech_only(c: ConfigDict) -> None:
    _speech(c)
    c.network = "voices_only"


def _speakers3(c: ConfigDict) -> None:
    _speech(c)
    c.mixing.sources, c.batch_size, c.eval.batch_size = 3, 18, 33  # multiples of 3


def _reference(c: ConfigDict) -> None:
    _speech(c)
    del c.faces
    c.voice = "resemblyzer"  # or "resemblyzer:FILE": what hears a recording in the place of a face
    # Few voices, in all splits: with --config.data.held_out=speakers nobody of the test is heard before.
    c.data = ConfigDict({"name": "speakers", "path": "", "held_out": "utterances", "seconds": 6.0})
    c.data.piece = c.seconds  # of what is mixed, wherever in an utterance: there are few of them
    _list(c, "label")
    c.data.mixtures.field = "speech"
    # Some thousand utterances are learned by heart, by the units of `:speech` before the first 800 steps are over.
    c.model.units, c.model.hidden = 128, 256
    c.model.moving = False  # a recording is a face that stands still
    c.feature_cache = "workdir"


def _noise(c: ConfigDict) -> None:
    _speech(c)
    c.mixing.sources, c.mixing.noise_db = 1, (-5.0, 10.0)
    c.data.objects, c.data.seconds = (1, 1), c.seconds  # of the scenes whose ambience is the noise


def _paper_speech(c: ConfigDict) -> None:
    _speech(c)
    c.seconds, c.power, c.magnitude, c.order_free = 3.0, 0.3, False, 0.0
    c.faces.weights = ""
    c.data = ConfigDict({"name": "talking_videos", "path": "", "seconds": 3.0, "size": 160})
    _list(c, "")
    c.data.mixtures.field = "speech"
    c.mixing.spread_db = 0.0  # normalised and added up there
    c.sound = ConfigDict({"rate": 16_000, "n_fft": 512, "window": 400, "hop": 160})
    c.model.width, c.model.faces, c.model.units, c.model.hidden, c.model.depth = 96, 256, 400, 600, 6
    c.model.summed, c.model.moving = True, False
    c.batch_size = c.eval.batch_size = 6
    c.steps, c.eval.every, c.save_every, c.log_every = 5_000_000, 10_000, 10_000, 100
    c.loader.workers = 8
    # The paper's rate is halved every 1.8 million steps, here by as much in small steps.
    c.optim.separator = base.adam(3e-5, decay="exponential", decay_rate=0.5 ** (1 / 1_800_000))


def _visualvoice(c: ConfigDict) -> None:
    _speech(c)
    del c.faces, c.power, c.magnitude, c.order_free
    c.network = "visual_voice"
    c.released = ""  # a folder with some of lipreading_best.pth, facial_best.pth, vocal_best.pth and unet_best.pth
    c.seconds = 2.55
    c.data = ConfigDict({"name": "mouth_crops", "path": "", "mouths": "", "voices": "", "faces": "", "seconds": 2.55})
    c.data.mouth, c.data.size = 96, 224  # as VoxCeleb2's mouths are published; 88 where yours are cut so far
    _list(c, "label")  # no two clips of one speaker
    c.data.mixtures.field = "speech"
    c.mixing.spread_db = 0.0
    c.sound = ConfigDict({"rate": 16_000, "n_fft": 512, "window": 400, "hop": 160})
    c.side = 88  # of a mouth, cut out of those of the data
    c.augment = True
    c.model = ConfigDict({"width": 64, "bound": 5.0, "dtype": "float32"})  # of models.joint.visual_voice
    c.lips = ConfigDict()  # arguments of models.vision.lip_motion.LipMotion
    c.lips.front, c.lips.widths, c.lips.depths, c.lips.last = 24, (116, 232, 464), (4, 8, 4), 1024
    c.lips.features, c.lips.layers, c.lips.dropout, c.lips.dtype = 512, 4, 0.2, "float32"
    c.attributes = ConfigDict({"features": 128, "width": 64, "dtype": "float32"})  # of a face, and of a voice
    c.loss = ConfigDict({"cross_modal": 0.01, "consistency": 0.01, "margin": 0.5, "truth": 0.5})
    c.batch_size, c.eval.batch_size = 128, 32
    c.steps, c.eval.every, c.save_every, c.log_every = 50_000, 1000, 1000, 100
    c.loader.workers = 8
    # Divided by 10 after 30,000 and 40,000 steps there. Face and voice have learned of each other before.
    c.optim.separator = base.adam(1e-4, weight_decay=1e-4, decay="cosine")
    c.optim.separator.parts = ConfigDict({"face": 0.1, "voice": 0.1})


def _paper_pixels(c: ConfigDict) -> None:
    _videos(c)
    c.data.seconds = c.loader.clip_seconds = 65_535 / 11_025
    c.data.frames, c.vision, c.feature_cache = 3, "frames", ""
    c.sound.rate, c.sound.n_fft, c.sound.hop, c.sound.rows = 11_025, 1022, 256, 256
    c.mixing.spread_db = 3.5  # volumes of .5 to 1.5 there
    c.encoder.name, c.encoder.layer = "resnet18_dilated", ""  # weights: torchvision's of ImageNet
    c.train_encoder, c.encoder_statistics = True, "batch"
    c.model.maps, c.model.levels, c.model.width = 32, 7, 64
    c.loss.mask, c.loss.weight, c.loss.threshold = "binary", "log", 0.5
    c.chunk.seconds = c.data.seconds
    c.batch_size, c.eval.batch_size = 80, 32  # 4 x 20
    c.steps, c.eval.every, c.save_every, c.log_every = 30_000, 1000, 1000, 100
    c.loader.workers = 8
    # Divided by 10 after 40 and 80 of 100 epochs there; the picture network learns at a tenth throughout.
    c.optim.separator = base.adam(1e-3, name="sgd", momentum=0.9, weight_decay=1e-4, decay="cosine")
    c.optim.separator.parts = ConfigDict({"encoder": 0.1, "head": 0.1})


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "audio_only": _audio_only,
    "stamps": _stamps,
    "instruments": _instruments,
    "videos": _videos,
    "paper_pixels": _paper_pixels,
    "speech": _speech,
    "speech_only": _speech_only,
    "speakers3": _speakers3,
    "reference": _reference,
    "noise": _noise,
    "paper_speech": _paper_speech,
    "visualvoice": _visualvoice,
}
