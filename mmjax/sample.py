"""`python -m mmjax.sample`, as `mmjax sample` was called before there was one command; goes with the next release."""

from __future__ import annotations

import sys

from mmjax import tools

if __name__ == "__main__":
    print("python -m mmjax.sample is now `mmjax sample`", file=sys.stderr)
    sys.exit(tools.run("sample", sys.argv[1:], "python -m mmjax.sample", "mmjax.sample"))
