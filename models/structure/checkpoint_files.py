"""The files beside a checkpoint that show the structure of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.base.files import publish_bytes
from models.config.artifacts import STRUCTURE_JSON_NAME, STRUCTURE_MARKDOWN_NAME, STRUCTURE_PICTURE_NAME
from models.structure.describe import describe, example_batch
from models.structure.formatting import render_markdown
from models.structure.picture import draw_network
from models.structure.structure import render_json

if TYPE_CHECKING:
    from pathlib import Path

    from models.network.network import VideoNetwork
    from models.structure.structure import Structure


def write_structure(folder: Path, network: VideoNetwork) -> Structure:
    """Write ``network.json``, ``network.md`` and ``network.svg`` into ``folder``, and return their content.

    The operations are counted for clips with 16 steps of each modality. The same network gives the same bytes.

    Raises:
        OSError: The folder cannot be written.
    """
    structure = describe(network, example_batch(network))
    files = {
        STRUCTURE_JSON_NAME: render_json(structure),
        STRUCTURE_MARKDOWN_NAME: render_markdown(structure, picture_name=STRUCTURE_PICTURE_NAME),
        STRUCTURE_PICTURE_NAME: f"{draw_network(structure, standalone=True)}\n",
    }
    for name, content in files.items():
        publish_bytes(folder / name, content.encode())
    return structure
