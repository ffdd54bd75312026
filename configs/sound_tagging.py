"""Sound tagging: SoundNet's layers, random layers, MFCC and log-mel under a linear SVM, and SoundNet fine-tuned.

    python train.py --config=configs/soundnet.py
    python train.py --config=configs/sound_tagging.py --config.model.soundnet=runs/soundnet

configs/sound_tagging.py              sounding scenes, 2,000 labelled clips, which object is the loudest
configs/sound_tagging.py:tiny         seconds, for a look and for the tests
configs/sound_tagging.py:esc50        ESC-50, or any folder with its layout, in its five folds: --config.data.path=DIR
configs/sound_tagging.py:folder       a folder of sounds, a sub-folder a class, in five folds: --config.data.path=DIR
                                      (--config.data.folds=10 for UrbanSound8K, =0 for Speech Commands' own splits)
configs/sound_tagging.py:instruments  General MIDI instruments, trained on two sound fonts, tested on a third
configs/sound_tagging.py:paper        ESC-50 at the paper's sizes: fine-tuned for 50 epochs, on an accelerator

model.soundnet may also be the path of the published weights, soundnet8_final.t7, sound8.npy or a PyTorch port's .pth.
Without it there are no rows of trained features, and the fine-tuned network starts from random weights.
"""

from ml_collections import ConfigDict

from mmjax.engine import config as base


def get_config(variant: str = "") -> ConfigDict:
    """The config of a variant."""
    c = base.engine("sound_tagging", variant)
    c.steps = 250  # four passes over 2,000 clips
    c.batch_size = 32
    c.eval.every, c.eval.examples, c.save_every = 125, 256, 125
    c.eval.test_examples = 1000
    c.loader.clip_seconds = 10.0  # the paper's; shorter clips are repeated up to it, longer ones cut

    # The loudest of one to three objects: with one alone every row but the lowest layers comes near 1 and the table
    # tells nothing apart; and mixtures are what the network was taught on.
    c.data.objects = (1, 3)
    c.data.examples = 2000  # of each split: as many labelled clips as ESC-50 has

    c.model = ConfigDict()
    c.model.soundnet = ""  # workdir of configs/soundnet.py, soundnet8_final.t7, sound8.npy or a .pth; "" = none
    c.model.depth = 8  # of the network that is made where there is none
    c.model.width = 0.5  # likewise: configs/soundnet.py's default
    c.model.dtype = "float32"  # "bfloat16" on accelerators

    c.features = ConfigDict()  # arguments of models.sound.sound_tagger.Features
    c.features.layers = ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5", "conv6", "conv7", "heads")
    c.features.window = 1.0  # seconds: eval_esc50.lua
    c.features.steps = 27  # pool5's in 10 s
    c.features.n_fft, c.features.hop = 2048, 512  # librosa's
    c.features.n_mels, c.features.n_mfcc = 128, 20

    c.svm = ConfigDict()
    c.svm.cost = 0.01  # liblinear's -c: eval_esc50.lua
    c.svm.standardise = False  # the network's features are taken as they are, as there

    # main_finetune.lua has 1e-3, constant, and batches of 256 for 50 epochs; in a few passes a rate that falls lets the
    # running statistics catch up with the weights.
    c.optim.net = base.adam(1e-3, decay="cosine")
    return base.choose(c, VARIANTS)


def _tiny(c: ConfigDict) -> None:
    c.steps, c.batch_size = 6, 8
    c.data.seconds = c.loader.clip_seconds = 2.6  # the least that the 5-layer network takes
    c.model.depth, c.model.width = 5, 0.125
    c.features.layers = ("pool3", "heads")  # each is a program more to compile
    c.log_every, c.save_every, c.eval.every = 2, 3, 3
    # One batch holds the test split, so that predictions that are not shown need no program of their own.
    c.eval.batch_size, c.eval.examples, c.eval.test_examples, c.eval.gallery = 24, 12, 20, 4
    c.eval.fit_examples = 30


def _folder(c: ConfigDict) -> None:
    c.data = ConfigDict(
        {
            "name": "folder_audio",
            "path": "",  # a folder with a sub-folder a class, or ESC-50's own
            "folds": 5,  # dealt out evenly; ESC-50 has its own, UrbanSound8K 10; 0 for a folder with its own splits
            "fold": 1,  # set by each fold's run
            "validate": False,  # train on all folds but the one tested, as the tables of ESC-50 do
        }
    )
    c.eval.folds = c.data.get_oneway_ref("folds")
    c.validation_split = "test"  # for the curves only: the last step is what is reported, and nothing is chosen by it
    c.eval.test_examples = 0  # all
    c.eval.every = 0


def _paper(c: ConfigDict) -> None:
    _folder(c)
    c.model.width = 1.0
    c.model.dtype = "bfloat16"
    c.batch_size = 256  # main_finetune.lua
    c.eval.batch_size = 64
    c.steps = 312  # 50 epochs of 1,600 clips
    c.optim.net.decay = "none"
    c.loader.workers = 8


def _instruments(c: ConfigDict) -> None:
    c.data = ConfigDict({"name": "sound_fonts"})
    c.data.classes = "family"  # 15 of them; "program", all 120 instruments, takes the SVM eight times as long
    c.eval.test_examples = 0  # all


VARIANTS = {
    "": base.unchanged,
    "tiny": _tiny,
    "esc50": _folder,
    "folder": _folder,
    "instruments": _instruments,
    "paper": _paper,
}
