"""How a route comes to what it answers from."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ordersync.web.api.faces import Faces


async def faces_of(request: Request) -> Faces:
    """The parts behind the application that a request came to.

    Not that anything is waited for: FastAPI takes a plain function to another thread.
    """
    faces: Faces = request.app.state.faces
    return faces


Parts = Annotated[Faces, Depends(faces_of)]
"""The parts, as a route takes them."""
