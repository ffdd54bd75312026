"""The front door: `mmjax train` of this checkout, see `python train.py --help` and mmjax/tools/train.py."""

import shlex
import sys

from mmjax import tools

if __name__ == "__main__":
    tools.leave(tools.run("train", sys.argv[1:], f"python {shlex.quote(sys.argv[0])}", "train.py"))
