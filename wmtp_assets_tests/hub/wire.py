"""Answering under uvicorn's hands: an answer begun, and a connection broken in its middle."""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
import termios

from starlette.types import Send


async def begin(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


def abort(send: Send, *, gently: bool = False) -> None:
    """Break the connection under uvicorn: with a reset, or closed as if all were said."""
    transport = send.__self__.transport  # type: ignore[attr-defined]  # uvicorn's request cycle
    if not gently:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


def has_hung_up(send: Send) -> bool:
    """Whether the client has closed the connection, as far as the server has noticed."""
    return bool(send.__self__.disconnected)  # type: ignore[attr-defined]


async def until_it_has_arrived(send: Send) -> None:
    """Waits until the client's kernel has all that was written, whether the client read it or not.

    No longer than the client stays.
    """
    transport = send.__self__.transport  # type: ignore[attr-defined]  # uvicorn's request cycle
    raw, queued = transport.get_extra_info("socket"), array.array("i", [0])
    while not has_hung_up(send):
        fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, queued)
        if not queued[0] and not transport.get_write_buffer_size():
            return
        await asyncio.sleep(0.002)


async def until_it_hangs_up(send: Send) -> None:
    """Says nothing more."""
    while not has_hung_up(send):
        await asyncio.sleep(0.02)
