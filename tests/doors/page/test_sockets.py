"""A socket of ours sends answers at once."""

import asyncio
import socket

from thalweg.doors.page.local import bound


def test_connections_send_small_packets_at_once():
    """Without TCP_NODELAY an answer in two parts waits for the acknowledgement of the first: 40 ms."""
    listener = bound(0, None)
    delays: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delays.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(answer, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()

    asyncio.run(ask())
    assert delays and all(delays)
