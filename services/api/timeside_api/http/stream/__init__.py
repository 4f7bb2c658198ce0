"""The stream: rows and progress while they are made, over a WebSocket."""
