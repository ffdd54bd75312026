"""What XLA is told before it compiles anything, where what it does by itself is several times slower on a CPU."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from importlib import metadata, util

_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
_KNOWN = ("0.10.1", "0.10.2")  # of jaxlib: those that do it by themselves, and know the flag


def convolutions_by_eigen(environment: MutableMapping[str, str] | None = None, version: str = "") -> bool:
    """Has XLA:CPU compute convolutions as it did up to jaxlib 0.10.0; whether it was told to.

    From 0.10.1 on convolutions of float32 go to another library, YNNPACK, which takes up to six times as long, most of
    all without zeros around and for kernels' gradients (findings/convolutions_by_ynn.sh). Products and
    sums stay with that library, which computes them faster. XLA reads its flags once, when a process first uses it;
    a flag that it does not know ends the process, so that no release is told of which nobody tried it, nor a TPU's
    library, which reads the same flags.

    Args:
      environment: whose XLA_FLAGS are added to; os.environ if None. What the user says of this flag stays.
      version: of jaxlib; the installed one's if "".
    """
    environment = os.environ if environment is None else environment
    flags = environment.get("XLA_FLAGS", "")
    known = (version or metadata.version("jaxlib")) in _KNOWN and not util.find_spec("libtpu")
    if not known or _FLAG in flags:
        return False
    environment["XLA_FLAGS"] = f"{flags} {_FLAG}=-individual_convolution".strip()
    return True
