"""The API below a path of somebody else's site, whether or not the proxy before it has cut that path off."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Prefix:
    """Takes a prefix off the paths of requests, and puts it before those of `Location`; within, nobody knows of it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = self._prefix + headers["location"]
            await send(message)

        await self._app({**scope, "path": self._cut(scope["path"])}, receive, send_)

    def _cut(self, path: str) -> str:
        rest = path.removeprefix(self._prefix)
        return rest if rest.startswith("/") else "/" if not rest else path
