"""What the inner loop refuses: everything that reaches outside the journal, and running it from outside."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from restate_patterns.errors import NotDurable


def _refused(name: str, what: str) -> Any:
    def refuse(self: object, *args: object, **kwargs: object) -> NoReturn:
        raise NotDurable(
            f"a handler reached for {what} (loop.{name}): its result would not be in the journal. "
            'Wrap it in ctx.run("name", function)'
        )

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


def _unavailable(name: str) -> Any:
    def refuse(self: object, *args: object, **kwargs: object) -> NoReturn:
        raise NotDurable(
            f"loop.{name} is not available inside a handler: its event loop is driven by the journal alone"
        )

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


class RefusingLoop(asyncio.AbstractEventLoop):
    """An event loop without I/O, threads, subprocesses and signals: each answers with a sentence."""

    run_in_executor: Any = _refused("run_in_executor", "a thread")
    call_soon_threadsafe: Any = _refused("call_soon_threadsafe", "another thread")

    getaddrinfo: Any = _refused("getaddrinfo", "the network")
    getnameinfo: Any = _refused("getnameinfo", "the network")
    create_connection: Any = _refused("create_connection", "a socket")
    create_server: Any = _refused("create_server", "a socket")
    create_unix_connection: Any = _refused("create_unix_connection", "a socket")
    create_unix_server: Any = _refused("create_unix_server", "a socket")
    create_datagram_endpoint: Any = _refused("create_datagram_endpoint", "a socket")
    connect_accepted_socket: Any = _refused("connect_accepted_socket", "a socket")
    start_tls: Any = _refused("start_tls", "a socket")
    sendfile: Any = _refused("sendfile", "a socket")
    sock_recv: Any = _refused("sock_recv", "a socket")
    sock_recv_into: Any = _refused("sock_recv_into", "a socket")
    sock_recvfrom: Any = _refused("sock_recvfrom", "a socket")
    sock_recvfrom_into: Any = _refused("sock_recvfrom_into", "a socket")
    sock_sendall: Any = _refused("sock_sendall", "a socket")
    sock_sendto: Any = _refused("sock_sendto", "a socket")
    sock_connect: Any = _refused("sock_connect", "a socket")
    sock_accept: Any = _refused("sock_accept", "a socket")
    sock_sendfile: Any = _refused("sock_sendfile", "a socket")
    add_reader: Any = _refused("add_reader", "a file descriptor")
    add_writer: Any = _refused("add_writer", "a file descriptor")
    remove_reader: Any = _refused("remove_reader", "a file descriptor")
    remove_writer: Any = _refused("remove_writer", "a file descriptor")
    connect_read_pipe: Any = _refused("connect_read_pipe", "a pipe")
    connect_write_pipe: Any = _refused("connect_write_pipe", "a pipe")
    subprocess_shell: Any = _refused("subprocess_shell", "a subprocess")
    subprocess_exec: Any = _refused("subprocess_exec", "a subprocess")
    add_signal_handler: Any = _refused("add_signal_handler", "signals")
    remove_signal_handler: Any = _refused("remove_signal_handler", "signals")

    run_forever: Any = _unavailable("run_forever")
    run_until_complete: Any = _unavailable("run_until_complete")
    stop: Any = _unavailable("stop")
    close: Any = _unavailable("close")
    set_default_executor: Any = _unavailable("set_default_executor")
    shutdown_default_executor: Any = _unavailable("shutdown_default_executor")
    shutdown_asyncgens: Any = _unavailable("shutdown_asyncgens")
    set_task_factory: Any = _unavailable("set_task_factory")
    set_exception_handler: Any = _unavailable("set_exception_handler")
    set_debug: Any = _unavailable("set_debug")
