"""A decoder that ends its process, which child processes import quickly."""

import os
import signal

from mmjax.data.files import pictures

square = pictures.square


def deadly(folder, size, fit, path):
    """`pictures.square`, but for a picture that is called "deadly"."""
    if "deadly" in path:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(folder, size, fit, path)
