"""A client of the platform: everything over HTTP, rows as they are computed over a WebSocket.

async with Client(url, token) as client:
    async for rows in client.stream(result_id):
        rows.output, rows.times, rows.values
"""

from timeside.client.client import Client, sign_in
from timeside.client.errors import ApiError, ClientError, ResultError, UnreachableError
from timeside.client.rows import ResultRows

__all__ = ["ApiError", "Client", "ClientError", "ResultError", "ResultRows", "UnreachableError", "sign_in"]
