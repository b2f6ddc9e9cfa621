"""numba's cache of compiled loops, which may be of no use but never stands in the way.

numba keeps a pickled index and pickled machine code in the folder of NUMBA_CACHE_DIR, else in
`__pycache__` beside the source, else in the user's cache folder. As it is, a folder that cannot be
written, a full disk and a damaged file each end the program, the last until somebody deletes it.
Here each ends the caching alone, which is said once; what is damaged is replaced where possible.

What is read is run. So machine code carries a checksum over itself and its source, and a folder
where others may write is left alone; `__pycache__` beside the source is as safe as the bytecode in
it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.serialize import dumps


class _Sealed(CompileResultCacheImpl):
    """Machine code under a checksum: numba itself runs whatever unpickles."""

    def reduce(self, cres: Any) -> tuple[bytes, bytes]:
        """Return the seal of the code, and the code."""
        code = dumps(super().reduce(cres))
        return self._seal(code), code

    def rebuild(self, target_context: Any, payload: tuple[bytes, bytes]) -> Any:
        """Return the compiled loop, of code that is whole and of this very source."""
        seal, code = payload
        if seal != self._seal(code):
            raise OSError("its checksum is wrong")
        return super().rebuild(target_context, pickle.loads(code))

    def _seal(self, code: bytes) -> bytes:
        source = repr(self.locator.get_source_stamp()).encode()
        return hashlib.sha256(source + code).digest()


class KernelCache(FunctionCache):
    """The cache of one loop, which misses where it fails, and says why to `say`."""

    _impl_class = _Sealed

    def __init__(self, py_func: Any, say: Callable[[Exception], None]) -> None:
        super().__init__(py_func)
        self._say = say
        beside = os.path.join(os.path.dirname(py_func.__code__.co_filename), "__pycache__")
        if self.cache_path != beside and _others_may_write(self.cache_path):
            raise PermissionError(f"others may write in {self.cache_path}")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled loop, or None where it is not there or damaged."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # unpickling may raise anything
            self._say(error)
            with suppress(Exception):
                self.flush()  # a damaged index would hinder every later process
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled loop, where that can be done."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            self._say(error)


def _others_may_write(folder: str) -> bool:
    """Tell whether users other than this one and root may write in a folder."""
    if not hasattr(os, "geteuid"):
        return False
    about = os.stat(folder)
    of_group = stat.S_IWGRP if about.st_gid != about.st_uid else 0  # else a group of its own
    return about.st_uid not in (0, os.geteuid()) or bool(about.st_mode & (stat.S_IWOTH | of_group))
