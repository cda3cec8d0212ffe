"""How a route comes to what it answers from."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from ordersync.web.api.faces import Faces


def faces_of(request: Request) -> Faces:
    """The parts behind the application that a request came to."""
    faces: Faces = request.app.state.faces
    return faces


Parts = Annotated[Faces, Depends(faces_of)]
"""The parts, as a route takes them."""
