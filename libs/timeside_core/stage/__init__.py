"""The worker side of the conveyor: one process that serves the bus, and children that compute.

    bus ─ commands ─▶ Commands ─┐                 ┌─▶ child: handlers ─┐
    bus ─ PCM ──────▶ Blocks ───┴─ jobs ─ pipes ──┴─▶ child: handlers ─┴─ pipes ─▶ bus

- `handler`: what a service implements: messages of one run in, messages out; plain code in a child.
- `follow`: which blocks count, and what may be committed; pure.
- `children`, `child`, `pipe`, `sandbox`: the processes, their limits, what blame they leave behind.
- `commands`, `blocks`: what is read from the bus, and when it is committed.
- `service`: all of it together, with probes, metrics, signals and a drain.
"""
