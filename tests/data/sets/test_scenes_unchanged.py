"""Every field of sounding_scenes is as it was, bit by bit, whatever the kernels that NumPy and OpenBLAS choose.

Figures are published for this data, and runs go on with it. Where a digest differs after an upgrade of NumPy, SciPy or
Pillow and of nothing here, it is the library that rounds in another way.
"""

import hashlib
import json
from pathlib import Path

import children
import numpy as np

from mmjax.data.sets import sounding_scenes

# (seed, split, index, options)
EXAMPLES = (
    (0, "train", 0, {}),
    (0, "train", 7, {}),
    (3, "train", 99_999, {}),
    (0, "validation", 1, {}),
    (0, "test", 0, {}),
    (0, "test", 5, {}),
    (2**32 - 1, "test", 1999, {"objects": (2, 2)}),
)
DIGESTS = {
    "image": "de0932a31d00",
    "waveform": "5eee23d976ee",
    "label": "c869afd28e3f",
    "tags": "bf743a356192",
    "scene": "ef42e8b01a29",
    "objects": "0bd4b645ec9a",
    "colours": "b9cd2a85476e",
    "boxes": "dc976c18d0c3",
    "areas": "2ca252b377d5",
    "sounding": "2081912d0151",
    "caption": "cfd48d9f7582",
    "captions": "e9e7e687a22d",
    "question": "7eb95cc41cb5",
    "answer": "c169c6fef03a",
    "question_type": "a56c08365606",
    "face": "c02fcad86320",
    "speech": "1abd54124375",
    "speaker": "b543d8fd71dd",
    "units": "f44c44e5ab0c",
    "unit_times": "00c1d9752344",
    "group": "be3b105f6896",
    "index": "d82969f5421f",
    "speech_length": "5610e041d74a",
    "units_length": "d52f2bb3a0d8",
    "stems": "8b00b757ceb7",
    "ambience": "59b69000b139",
    "face_frames": "1b4a6fe9905b",
    "landmarks": "e521ed123c1b",
    "speech_same": "ac6962a3a49a",
    "speaker_same": "e890a0d85d5a",
    "unit_times_same": "d68b952aef86",
    "speech_other": "502081ca7026",
    "units_other": "ead44f22821c",
    "unit_times_other": "c331777b4480",
    "face_frames_length": "e9dde8a1fd67",
    "speech_same_length": "070f1da209d5",
    "speech_other_length": "4dccb6ea722a",
    "units_other_length": "fb22236025c8",
}


def digests():
    """{field: of the examples above}."""
    states = {field: hashlib.sha256() for field in DIGESTS}
    fields = tuple(field for field in DIGESTS if not field.endswith("_length"))
    for seed, split, index, options in EXAMPLES:
        example = sounding_scenes.source(split, fields, seed=seed, image_size=64, seconds=2.0, **options)[index]
        for field, state in states.items():
            value = example[field]
            state.update(value.tobytes() if isinstance(value, np.ndarray) else json.dumps(value).encode())
    return {field: state.hexdigest()[:12] for field, state in states.items()}


def test_no_field_has_changed_by_a_bit():
    # In the child OpenBLAS has kernels for processors without AVX2, whose products round otherwise than today's do.
    folders = [str(Path(__file__).parent), str(Path(children.__file__).parent)]
    code = f"import json, sys; sys.path[:0] = {folders}; import test_scenes_unchanged; "
    done = children.python(
        "-c", code + "print(json.dumps(test_scenes_unchanged.digests()))", OPENBLAS_CORETYPE="Sandybridge"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == DIGESTS


def test_speech_is_the_same_with_the_exponential_of_avx_512():
    # NumPy's own, which it has for such processors alone, would make another sample of one of these.
    speech = sounding_scenes.source("train", ("speech",))[93]["speech"]
    assert hashlib.sha256(speech.tobytes()).hexdigest()[:12] == "6f5058e50f7a"
