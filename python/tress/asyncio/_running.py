"""Making a loop and running it: tress's, unless the program has set a policy of its own."""

from __future__ import annotations

import sys
from asyncio import events, runners, unix_events

from tress.asyncio._event_loop import EventLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeVar

    _T = TypeVar("_T")

_events: Any = events
_StandardRunner: Any = runners.Runner


def _policy() -> Any:
    """The policy in force, without the warning of Pythons in which policies are to go."""
    find = getattr(_events, "_get_event_loop_policy", None) or _events.get_event_loop_policy
    return find()


def default_policy() -> Any:
    """The class of the policy that is in force where the program has set none."""
    names = ("_DefaultEventLoopPolicy", "DefaultEventLoopPolicy")
    return next(vars(unix_events)[name] for name in names if name in vars(unix_events))


def _is_default(policy: Any) -> bool:
    return type(policy) is default_policy()


def new_event_loop() -> AbstractEventLoop:
    """A new loop of tress's; where the program has set a policy, what that makes."""
    policy = _policy()
    loop: AbstractEventLoop = EventLoop() if _is_default(policy) else policy.new_event_loop()
    return loop


def get_event_loop() -> AbstractEventLoop:
    """The running loop, or else that of the thread, as `asyncio.get_event_loop`.

    Up to Python 3.13 the main thread gets one, of tress's, if it has none.
    """
    loop: AbstractEventLoop | None = events._get_running_loop()
    if loop is not None:
        return loop
    policy = _policy()
    if not _is_default(policy) or "_loop_factory" in vars(policy):
        return policy.get_event_loop()  # type: ignore[no-any-return]
    policy._loop_factory = EventLoop
    try:
        return policy.get_event_loop()  # type: ignore[no-any-return]
    finally:
        del policy._loop_factory


class Runner(_StandardRunner):  # type: ignore[misc]
    """Runs coroutines one after the other in the same loop and context, as `asyncio.Runner`.

    `loop_factory` makes the loop; by default it is `new_event_loop`, whose loop also becomes the
    thread's.
    """

    __module__ = "tress.asyncio"

    if TYPE_CHECKING:
        _set_event_loop: bool

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], AbstractEventLoop] | None = None,
    ) -> None:
        super().__init__(debug=debug, loop_factory=loop_factory or self._new_event_loop)

    def _new_event_loop(self) -> AbstractEventLoop:
        loop = new_event_loop()
        if not self._set_event_loop:
            events.set_event_loop(loop)
            self._set_event_loop = True
        return loop


def _run(main: Any, **options: Any) -> Any:
    if events._get_running_loop() is not None:
        # Short, so that a traceback ends here.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with Runner(**options) as runner:
        return runner.run(main)


if sys.version_info >= (3, 12):

    def run(
        main: Coroutine[Any, Any, _T],
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], AbstractEventLoop] | None = None,
    ) -> _T:
        """Runs a coroutine in a new loop and returns what it returns, as `asyncio.run`."""
        return _run(main, debug=debug, loop_factory=loop_factory)  # type: ignore[no-any-return]

else:

    def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
        """Runs a coroutine in a new loop and returns what it returns, as `asyncio.run`."""
        return _run(main, debug=debug)  # type: ignore[no-any-return]
