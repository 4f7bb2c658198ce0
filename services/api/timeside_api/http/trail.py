"""What goes into the audit log of a request: who, from where, under which trace id."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from timeside_api.audit import AuditEntry
from timeside_api.http.access import Caller
from timeside_api.http.platform import platform
from timeside_api.http.problems import trace_id
from timeside_api.http.rates import address


@dataclass(frozen=True)
class Trail:
    """Of one request."""

    caller: Caller | None
    address: str
    trace_id: str

    def note(
        self,
        session: AsyncSession,
        action: str,
        subject: object = "",
        *,
        actor_id: UUID | None = None,
        is_allowed: bool = True,
        **details: Any,
    ) -> None:
        """Write what was done with what the transaction does; `actor_id` where the request has no caller yet."""
        entry = AuditEntry(
            action=action,
            is_allowed=is_allowed,
            actor_id=actor_id or (self.caller.id if self.caller else None),
            subject=str(subject),
            address=self.address,
            trace_id=self.trace_id,
            details=details,
        )
        session.add(entry)


def _trail(request: Request) -> Trail:
    caller: Caller | None = getattr(request.state, "caller", None)
    return Trail(caller, address(request, platform(request).settings.proxies), trace_id(request))


TrailOf = Annotated[Trail, Depends(_trail)]
