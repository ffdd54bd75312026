"""A units run without files: codes are the nearest of eight log-mel frames."""

import dataclasses

import jax
import numpy as np

from mmjax.known.units_run import UnitsRun
from mmjax.models.sound.resdavenet_vq import ResDavenetVQ
from mmjax.models.sound.unit_encoder import UnitEncoder
from mmjax.ops.sound.davenet_mel import DavenetMel

CODES = 8
ENCODER = UnitEncoder(DavenetMel(), ResDavenetVQ(), 0, "kmeans", CODES)


@dataclasses.dataclass(frozen=True)
class Planted(UnitsRun):
    """As `UnitsRun`, its codebook drawn.

    Attributes:
      seed: of the codebook.
    """

    seed: int = 0

    @property
    def variables(self):
        speech = np.random.default_rng(self.seed).integers(-9000, 9000, (1, 9000)).astype(np.int16)
        vectors, _, _ = ENCODER.hear({}, speech, np.array([9000], np.int32))
        return {"book": np.asarray(vectors[0, :CODES])}

    @property
    def shapes(self):
        return {"book": jax.ShapeDtypeStruct((CODES, ENCODER.frames.n_mels), np.float32)}


RUN = Planted("planted", "config.units", ENCODER)
