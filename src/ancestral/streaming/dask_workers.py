"""Work that Dask does elsewhere: one result, or one error of this package.

What a worker raises arrives as it is where it is an `AncestralError`. Anything else (an error of
what makes a part, a worker that was killed, a cluster that is gone) is told in one, with the part
where Dask says which task it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import suppress
from traceback import walk_tb
from typing import Any

from ancestral.errors import AncestralError, DataError, DataTypeError, ModelError

STATISTICS = "ancestral-part"  # how the keys of tasks begin that make a part's statistics
SMALLER_PARTS = (
    "Give smaller parts (rows= for files), or workers with more memory; where neither helps, look "
    "at what makes that part. The model is unchanged."
)
GONE = (
    "The model is unchanged. Look at the cluster's log, and call fit_dask again when it is up, "
    "with a new Client."
)


def computed(root: Any, client: Any) -> Any:
    """Return what a delayed value is, computed on a cluster or wherever `dask.compute` does.

    Parameters
    ----------
    root : dask.delayed.Delayed
    client : distributed.Client or None

    Raises
    ------
    AncestralError
        For whatever goes wrong there.
    """
    client = cluster_of(client)
    if client is None:
        return _computed_here(root)
    if not hasattr(client, "compute") or getattr(client, "asynchronous", False):
        raise ModelError(
            f"client must be a distributed.Client that is not asynchronous; got {client!r}."
        )
    future = None
    try:
        future = client.compute(root)
        return future.result()
    except (AncestralError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, CancelledError) or getattr(future, "status", "lost") != "error":
            kind, why = _seen(error)
            raise ModelError(
                f"the cluster is gone, or gave the work up ({kind}: {why}). {GONE}"
            ) from error
        raise _told(error, root, {_key_of_cause(error, client, future)}) from error
    except BaseException:  # Ctrl-C: the workers need not go on
        if future is not None:
            with suppress(Exception):
                future.cancel()
        raise


def cluster_of(client: Any) -> Any:
    """Return a client, or that which `dask.compute` would use now; None where it uses none."""
    if client is not None:
        return client
    from dask.base import get_scheduler

    with suppress(Exception):  # a scheduler that no longer is
        client = getattr(get_scheduler(), "__self__", None)
        return client if hasattr(client, "compute") else None
    return None


def _computed_here(root: Any) -> Any:
    """Return what a delayed value is, computed by the threads or processes of this machine."""
    import dask
    from dask.callbacks import Callback

    running: set[Any] = set()
    watch = Callback(
        pretask=lambda key, *_: running.add(key), posttask=lambda key, *_: running.discard(key)
    )
    try:
        with watch, dask.config.set({"admin.traceback.shorten": []}):  # its frames name the task
            return dask.compute(root)[0]
    except (AncestralError, MemoryError):
        raise
    except Exception as error:
        raise _told(error, root, _failed(error, running)) from error


def _failed(error: Exception, running: set[Any]) -> set[Any]:
    """Return the task that failed, or all that ran then."""
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_name == "execute_task" and frame.f_locals.get("key") in running:
            return {frame.f_locals["key"]}
    return running


def _key_of_cause(error: Exception, client: Any, future: Any) -> Any:
    """Return the key of the task that failed, as the cluster tells it."""
    if (killer := getattr(error, "task", None)) is not None:  # of a KilledWorker
        return killer
    with suppress(Exception):
        if future.status == "error":
            return client.sync(client.scheduler.get_error_cause, keys=(future.key,))
    return None


def _told(error: Exception, root: Any, keys: set[Any]) -> AncestralError:
    """Return this package's error for what went wrong in one of these tasks."""
    part, (kind, why) = _in_words(_parts_behind(root, keys)), _seen(error)
    if isinstance(error, BrokenExecutor) or kind == "KilledWorker":
        return ModelError(
            f"the process that worked on {part} ended, because of too little memory or a crash "
            f"({kind}). "
            f"{SMALLER_PARTS}"
        )
    told = DataTypeError if isinstance(error, TypeError) else DataError
    return told(f"{part} could not be made: {kind}: {why}. Mend what makes it, or leave it out.")


def _seen(error: Exception) -> tuple[str, str]:
    """Return the kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return type(error).__name__, lines[0].rstrip(".")[:300]


def _parts_behind(root: Any, keys: set[Any]) -> list[int]:
    """Return the parts whose statistics come from tasks of these keys, or go into them."""
    found: list[int] = []
    with suppress(Exception):  # a graph of another form than that of a delayed value
        needs = root.__dask_graph__().get_all_dependencies()
        needed_by: dict[Any, list[Any]] = {}
        for key, of_key in needs.items():
            for need in of_key:
                needed_by.setdefault(need, []).append(key)
        found = _parts_along(needed_by, keys) or _parts_along(needs, keys)
    return found


def _parts_along(further: Mapping[Any, Iterable[Any]], keys: set[Any]) -> list[int]:
    """Return the parts that are reached from some keys, those beyond them left out."""
    found: set[int] = set()
    seen, waiting = set(keys), list(keys)
    while waiting:
        key = waiting.pop()
        if isinstance(key, str) and key.startswith(STATISTICS):
            found.add(int(key.split("-")[2]))
            continue
        new = set(further.get(key, ())) - seen
        seen |= new
        waiting += new
    return sorted(found)


def _in_words(parts: list[int]) -> str:
    """Return "part 3", or "part 3 or part 4" where either may be meant."""
    if not parts:
        return "a part"
    more = f" or {len(parts) - 4} more" if len(parts) > 4 else ""
    return " or ".join(f"part {part}" for part in parts[:4]) + more
