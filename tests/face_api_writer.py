"""Files in the layout of face-api's, with random weights."""

import json

import numpy as np

from mmjax.weights import tfjs_file


def write(folder, name, parts, rng):
    """A manifest and its bytes with random quantised weights; {name: array} as they should be read."""
    listed, raw, values = [], b"", {}
    for theirs, (_, shape) in parts:
        shape = (*shape[:2], shape[3], shape[2]) if theirs.endswith("depthwise_filter") else shape
        spread = np.sqrt(4 / max(np.prod(shape[:-1]), 1)) if len(shape) > 1 else 0.3
        codes, low = rng.integers(0, 256, shape).astype(np.uint8), -float(spread) + 0.1 * (len(shape) == 1)
        scale = 2 * float(spread) / 255
        listed.append({"name": theirs, "shape": list(shape), "dtype": "float32"})
        if len(shape) == 1:
            values[theirs] = (codes * scale + low).astype(np.float32)
            raw += values[theirs].tobytes()
        else:
            listed[-1]["quantization"] = {"dtype": "uint8", "scale": scale, "min": low}
            values[theirs] = codes.astype(np.float32) * np.float32(scale) + np.float32(low)
            raw += codes.tobytes()
    (folder / f"{name}.bin").write_bytes(raw)
    manifest = folder / f"{name}{tfjs_file.SUFFIX}"
    manifest.write_text(json.dumps([{"weights": listed, "paths": [f"{name}.bin"]}]))
    return values
