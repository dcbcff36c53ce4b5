"""Managers: objects of a server process. The names of the standard `multiprocessing.managers`.

Each class is a subclass of the standard one and says the same over the same connections, so a
client may be plain Python's and the server tress's, and the other way round. `_manager_server.py`
is the server's side.
"""

from __future__ import annotations

import importlib
import multiprocessing.managers as _standard
import signal
from collections.abc import Callable, Iterable, Mapping
from multiprocessing import process, resource_tracker, util
from multiprocessing.context import ProcessError, get_spawning_popen

from tress.multiprocessing import _line, context, pool
from tress.multiprocessing._manager_server import Server, SharedMemoryServer, listener_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

__all__ = ["BaseManager", "BaseProxy", "SharedMemoryManager", "SyncManager", "Token"]

# With what the type checkers' stubs leave out.
_std: Any = _standard

Token = _standard.Token
RemoteError = _standard.RemoteError
Namespace = _standard.Namespace
dispatch = _std.dispatch
_standard_auto_proxy = _std.AutoProxy

_NO_NAMES: Mapping[str, Any] = {}


class BaseManager(_std.BaseManager):  # type: ignore[misc]
    """A server process with shared objects in it, as `multiprocessing.managers.BaseManager`.

    The server ends with the process that started it, even if that is killed.
    """

    _registry: ClassVar[dict[str, Any]] = {}
    _Server: Any = Server

    def __init__(
        self,
        address: Any = None,
        authkey: bytes | None = None,
        serializer: str = "pickle",
        ctx: Any = None,
        **options: float,
    ) -> None:
        if ctx is None:
            ctx = context._default_context.get_context()
        super().__init__(address, authkey, serializer, ctx, **options)
        self._Listener, self._Client = listener_client[serializer]

    def get_server(self) -> Server:
        """Returns a server that is not running yet: `get_server().serve_forever()`.

        ProcessError when the manager has been started.
        """
        if self._state.value == _std.State.STARTED:
            raise ProcessError("Already started server")
        if self._state.value != _std.State.INITIAL:
            raise ProcessError("Manager has shut down")
        server: Server = self._Server(
            self._registry, self._address, self._authkey, self._serializer
        )
        return server

    def start(
        self, initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = ()
    ) -> None:
        """Starts the server, in a process of its own that calls `initializer(*initargs)` first.

        ProcessError when it has been started; EOFError when its process ends before it serves.
        """
        try:
            super().start(initializer, initargs)
        except BaseException as error:
            server: Any = getattr(self, "_process", None)
            if self._state.value == _std.State.INITIAL and getattr(server, "pid", None) is not None:
                server.terminate()
                server.join()
                if isinstance(error, EOFError):
                    error.add_note(f"the server's process ended with exit code {server.exitcode}")
            raise

    def connect(self) -> None:
        """Connects to the server at the manager's address, which is running already."""
        client: Any = listener_client[self._serializer][1]
        with _closing(client(self._address, authkey=self._authkey)) as link:
            dispatch(link, None, "dummy")
        self._state.value = _std.State.STARTED

    @classmethod
    def _run_server(
        cls,
        registry: dict[str, Any],
        address: Any,
        authkey: bytes,
        serializer: str,
        writer: Any,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        # Ctrl-C is for the processes that use the manager.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if initializer is not None:
            initializer(*initargs)
        server = cls._Server(registry, address, authkey, serializer)
        parent = process.parent_process()
        if parent is not None:
            server.end_with(parent.pid)
        writer.send(server.address)
        writer.close()
        util.info("manager serving at %r", server.address)
        server.serve_forever()

    @classmethod
    def register(
        cls,
        typeid: str,
        callable: Callable[..., object] | None = None,
        proxytype: Any = None,
        exposed: Any = None,
        method_to_typeid: Any = None,
        create_method: bool = True,
    ) -> None:
        """Makes `manager.typeid(...)` call `callable(...)` in the server, and return a proxy.

        `exposed` are the names of the methods that a proxy may call, without it those of
        `proxytype`, or all public ones; `method_to_typeid` says for which methods the result stays
        in the server, too.
        """
        super().register(
            typeid,
            callable,
            AutoProxy if proxytype is None else proxytype,
            exposed,
            method_to_typeid,
            create_method,
        )


class _closing:
    def __init__(self, link: Any) -> None:
        self._link = link

    def __enter__(self) -> Any:
        return self._link

    def __exit__(self, *_: object) -> None:
        self._link.close()


class BaseProxy(_std.BaseProxy):  # type: ignore[misc]
    """What stands for an object of a server, as `multiprocessing.managers.BaseProxy`.

    A call that ends before its answer has come leaves nothing behind: the next one of this thread
    has a new connection.
    """

    def __init__(
        self,
        token: Token,
        serializer: str,
        manager: Any = None,
        authkey: bytes | None = None,
        exposed: Any = None,
        incref: bool = True,
        manager_owned: bool = False,
    ) -> None:
        super().__init__(token, serializer, manager, authkey, exposed, incref, manager_owned)
        self._Client = listener_client[serializer][1]

    def _incref(self) -> None:
        self._Client = listener_client[self._serializer][1]
        super()._incref()

    def _connect(self) -> None:
        super()._connect()
        link = self._tls.connection
        try:
            _line.offer(link)
        except BaseException:
            # Nobody can tell what goes which way.
            _forget(self._tls, link)
            raise

    def _callmethod(
        self, methodname: str, args: tuple[Any, ...] = (), kwds: Mapping[str, Any] = _NO_NAMES
    ) -> Any:
        """Calls a method of the object, and returns a copy of the result or a proxy for it."""
        tls = self._tls
        try:
            link = tls.connection
        except AttributeError:
            self._connect()
            link = tls.connection
        try:
            link.send((self._id, methodname, args, kwds))
            kind, result = link.recv()
        except BaseException:
            # Its answer may still come, to the next who asks.
            _forget(tls, link)
            raise
        if kind == "#RETURN":
            return result
        if kind == "#PROXY":
            return self._proxy_of(*result)
        try:
            raise _std.convert_to_error(kind, result)
        finally:
            del result  # or its traceback would hold it

    def _proxy_of(self, exposed: Any, token: Token) -> Any:
        proxytype = self._manager._registry[token.typeid][-1]
        token.address = self._token.address
        proxy = proxytype(
            token,
            self._serializer,
            manager=self._manager,
            authkey=self._authkey,
            exposed=exposed,
        )
        with _closing(self._Client(token.address, authkey=self._authkey)) as link:
            dispatch(link, None, "decref", (token.id,))
        return proxy

    def __reduce__(self) -> Any:
        rebuild, (made_by, *rest) = super().__reduce__()
        if made_by is _standard_auto_proxy:
            made_by = AutoProxy
        if get_spawning_popen() is None and made_by in _STANDARD:
            made_by = _Either(made_by.__name__)
        return rebuild, (made_by, *rest)


def _forget(tls: Any, link: Any) -> None:
    link.close()
    if getattr(tls, "connection", None) is link:
        del tls.connection


class _Either:
    """A name of this module, in a pickle that may come to a process in which there is no tress: the
    standard one there, and wherever nobody has imported this module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> Any:
        return getattr, (_Module(), self._name)


class _Module:
    def __reduce__(self) -> Any:
        return dict.get, (_Loaded(), __name__, _Imported(_standard.__name__))


class _Loaded:
    def __reduce__(self) -> Any:
        return getattr, (_Imported("sys"), "modules")


class _Imported:
    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> Any:
        return importlib.import_module, (self._name,)


_proxy_types: dict[tuple[str, tuple[str, ...]], Any] = {}


def _calls(method: str) -> Callable[..., Any]:
    def call(self: Any, /, *args: Any, **kwds: Any) -> Any:
        return self._callmethod(method, args, kwds)

    call.__name__ = method
    call.__qualname__ = f"{BaseProxy.__qualname__}.{method}"
    return call


def MakeProxyType(name: str, exposed: Any) -> Any:
    """Returns a class of proxies with the methods `exposed`."""
    key = name, tuple(exposed)
    if key not in _proxy_types:
        methods = {method: _calls(method) for method in key[1]}
        _proxy_types[key] = type(name, (BaseProxy,), {**methods, "_exposed_": key[1]})
    return _proxy_types[key]


def AutoProxy(
    token: Token,
    serializer: str,
    manager: Any = None,
    authkey: bytes | None = None,
    exposed: Any = None,
    incref: bool = True,
    manager_owned: bool = False,
) -> Any:
    """Returns a proxy with the public methods of the object."""
    if authkey is None:
        authkey = process.current_process().authkey if manager is None else manager._authkey
    if exposed is None:
        with _closing(listener_client[serializer][1](token.address, authkey=authkey)) as link:
            exposed = dispatch(link, None, "get_methods", (token,))
    proxytype = MakeProxyType(f"AutoProxy[{token.typeid!s}]", exposed)
    proxy = proxytype(
        token,
        serializer,
        manager=manager,
        authkey=authkey,
        incref=incref,
        manager_owned=manager_owned,
    )
    proxy._isauto = True
    return proxy


def _ours(standard: Any) -> Any:
    """The class of proxies that stands in for a standard one."""
    if standard.__name__ not in globals():
        own: Any = type(
            standard.__name__,
            (BaseProxy, standard),
            {"__module__": __name__, "__doc__": f"As `{_std.__name__}.{standard.__name__}`."},
        )
        globals()[standard.__name__] = own
    return globals()[standard.__name__]


class SyncManager(BaseManager, _std.SyncManager):  # type: ignore[misc]
    """A manager of the usual objects, as `multiprocessing.managers.SyncManager`."""

    _registry: ClassVar[dict[str, Any]] = {}


class SharedMemoryManager(BaseManager, _std.SharedMemoryManager):  # type: ignore[misc]
    """A manager of blocks of shared memory, as `multiprocessing.managers.SharedMemoryManager`.

    The blocks go with the server, and that with the process that started it.
    """

    _Server = SharedMemoryServer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Before the server has one of its own.
        resource_tracker.ensure_running()
        super().__init__(*args, **kwargs)


def _register_all() -> None:
    for typeid, (made_by, exposed, method_to_typeid, proxytype) in dict(
        _std.SyncManager._registry
    ).items():
        SyncManager.register(
            typeid,
            pool.Pool if typeid == "Pool" else made_by,
            AutoProxy if proxytype is _standard_auto_proxy else _ours(proxytype),
            exposed,
            method_to_typeid,
            hasattr(_std.SyncManager, typeid),
        )


_register_all()

_STANDARD = frozenset([AutoProxy, *(entry[-1] for entry in SyncManager._registry.values())])
"""What has a counterpart of the same name in the standard module."""


def __getattr__(name: str) -> Any:
    return getattr(_std, name)
