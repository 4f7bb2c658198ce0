"""`/v1/projects`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from timeside_api import events
from timeside_api.http import ownership, things
from timeside_api.http.access import CallerOf
from timeside_api.http.etags import UNCHANGED, TagOf
from timeside_api.http.openapi import errors
from timeside_api.http.pages import Orders, Page, Turn, turning
from timeside_api.http.platform import Session
from timeside_api.http.problems import Problem, not_found
from timeside_api.http.projects import repository
from timeside_api.http.projects.schemas import (
    MemberLevel,
    MemberList,
    MemberOut,
    NewProject,
    ProjectChange,
    ProjectOut,
    Things,
)
from timeside_api.http.trail import TrailOf
from timeside_api.models import Project
from timeside_api.sharing import Level

router = APIRouter(prefix="/projects", tags=["projects"])
TurnOf = Annotated[Turn, Depends(turning(Orders(Project.id)))]


@router.post("", operation_id="project_create", status_code=201)
async def project_create(body: NewProject, caller: CallerOf, session: Session, response: Response) -> ProjectOut:
    """Make a project."""
    project = await repository.add(session, caller.id, body.model_dump())
    _note(session, "project.created", project)
    response.headers["Location"] = f"/v1/projects/{project.id}"
    return ProjectOut.of(project)


@router.get("", operation_id="projects_list")
async def projects_list(caller: CallerOf, session: Session, turn: TurnOf) -> Page[ProjectOut]:
    """List the projects that I have made, or am in."""
    found = await turn.found(session, repository.mine(caller))
    return Page[ProjectOut].of(found, [ProjectOut.of(each) for each in found.rows])


@router.get("/{project_id}", operation_id="project_get", responses={**UNCHANGED, **errors(404)})
async def project_get(project_id: UUID, caller: CallerOf, session: Session, tag: TagOf) -> ProjectOut:
    """Get a project."""
    return tag.shown(ProjectOut.of(await ownership.get(session, caller, Project, project_id)))


@router.patch("/{project_id}", operation_id="project_change", responses=errors(403, 404, 412))
async def project_change(
    project_id: UUID, body: ProjectChange, caller: CallerOf, session: Session, tag: TagOf
) -> ProjectOut:
    """Say something else of a project."""
    project = await ownership.get(session, caller, Project, project_id, Level.EDITOR)
    tag.expect(ProjectOut.of(project))
    await repository.change(session, project, body.model_dump(exclude_none=True))
    _note(session, "project.changed", project)
    return tag.changed(ProjectOut.of(project))


@router.delete("/{project_id}", operation_id="project_delete", status_code=204, responses=errors(403, 404))
async def project_delete(project_id: UUID, caller: CallerOf, session: Session, trail: TrailOf) -> None:
    """Remove a project; what is in it stays with its owners."""
    project = await ownership.get(session, caller, Project, project_id, Level.OWNER)
    await repository.remove(session, project)
    _note(session, "project.removed", project)
    trail.note(session, "project.removed", project.id, name=project.name)


@router.get("/{project_id}/members", operation_id="members_list", responses=errors(404))
async def members_list(project_id: UUID, caller: CallerOf, session: Session) -> MemberList:
    """Who is in a project, besides who made it."""
    await ownership.get(session, caller, Project, project_id)
    found = await repository.members(session, project_id)
    return MemberList(
        items=[
            MemberOut(
                account_id=account.id,
                name=account.name,
                display_name=account.display_name,
                level=member.level,
                since=member.created_at,
            )
            for member, account in found
        ]
    )


@router.put("/{project_id}/members/{name}", operation_id="member_put", status_code=204, responses=errors(403, 404, 409))
async def member_put(
    project_id: UUID, name: str, body: MemberLevel, caller: CallerOf, session: Session, trail: TrailOf
) -> None:
    """Let somebody be in a project, or have another level in it."""
    project = await ownership.get(session, caller, Project, project_id, Level.OWNER)
    account = await things.account_named(session, name)
    if account.id == project.owner_id:
        raise Problem(409, "owner", f"{name} has made the project, and may do everything as it is")
    await repository.put_member(session, project_id, account.id, body.level)
    _note(session, "member.put", project, account_id=str(account.id), name=name, level=body.level)
    trail.note(session, "member.put", project_id, account=name, level=body.level)


@router.delete(
    "/{project_id}/members/{name}", operation_id="member_delete", status_code=204, responses=errors(403, 404)
)
async def member_delete(project_id: UUID, name: str, caller: CallerOf, session: Session, trail: TrailOf) -> None:
    """Let somebody be in a project no more; everybody may leave.

    Streams that they have open of what is in it end within seconds.
    """
    level = Level.VIEWER if name == caller.name else Level.OWNER
    project = await ownership.get(session, caller, Project, project_id, level)
    account = await things.account_named(session, name, or_disabled=True)
    await repository.remove_member(session, project_id, account.id)
    _note(session, "member.removed", project, account_id=str(account.id), name=name)
    trail.note(session, "member.removed", project_id, account=name)


@router.post("/{project_id}/things:add", operation_id="things_add", status_code=204, responses=errors(403, 404))
async def things_add(project_id: UUID, body: Things, caller: CallerOf, session: Session, trail: TrailOf) -> None:
    """Move things of mine into a project: its members may have them then."""
    project = await ownership.get(session, caller, Project, project_id, Level.EDITOR)
    for each in body.things:
        await things.get(session, caller, each.kind, each.id, Level.OWNER)
        await repository.move(session, each.kind, each.id, project_id)
    _tell_of(session, "project.things_added", project, body)
    trail.note(session, "project.things_added", project_id, count=len(body.things))


@router.post("/{project_id}/things:remove", operation_id="things_remove", status_code=204, responses=errors(403, 404))
async def things_remove(project_id: UUID, body: Things, caller: CallerOf, session: Session, trail: TrailOf) -> None:
    """Take things out of a project: they stay with their owners.

    Owners of a thing may do so, and owners of the project.
    """
    project = await ownership.get(session, caller, Project, project_id)
    for each in body.things:
        thing = await things.get(session, caller, each.kind, each.id, Level.OWNER)
        if thing.project_id != project_id:
            raise not_found(each.kind, each.id)
        await repository.move(session, each.kind, each.id, None)
    _tell_of(session, "project.things_removed", project, body)
    trail.note(session, "project.things_removed", project_id, count=len(body.things))


def _note(session: Session, kind: str, project: Project, **details: Any) -> None:
    events.note(
        session,
        kind,
        owner_id=project.owner_id,
        project_id=project.id,
        subject_id=project.id,
        **details,
    )


def _tell_of(session: Session, kind: str, project: Project, body: Things) -> None:
    _note(session, kind, project, things=[each.model_dump(mode="json") for each in body.things])
