"""mmjax: every classic multi-modal system as a page of JAX."""

from mmjax.errors import UserError
from mmjax.ops import compiler

__version__ = "0.1.0"
__all__ = ["Restored", "UserError", "restore"]

compiler.convolutions_by_eigen()  # here, since XLA reads its flags when it is first used


def __getattr__(name: str):
    # Data workers import mmjax.data and must not pay for, or touch, jax.
    if name in ("restore", "Restored"):
        from mmjax.engine import restore

        return getattr(restore, name)
    raise AttributeError(f"module 'mmjax' has no attribute {name!r}")
