"""The files that tell beside a checkpoint what its network is made of."""

from pathlib import Path

from features.base.files import publish_bytes
from models.config.artifacts import STRUCTURE_JSON_NAME, STRUCTURE_MARKDOWN_NAME, STRUCTURE_PICTURE_NAME
from models.network.network import VideoNetwork
from models.structure.describe import describe
from models.structure.example import example_batch
from models.structure.markdown import render_markdown
from models.structure.modules import Structure
from models.structure.picture import draw
from models.structure.serialization import render_json


def write_structure(folder: Path, network: VideoNetwork) -> Structure:
    """Write `network.json`, `network.md` and `network.svg` into `folder`, and return what they tell.

    The clips that stand in have 16 steps of each modality. The same network gives the same bytes.

    Raises:
        OSError: The folder cannot be written.
    """
    structure = describe(network, example_batch(network))
    files = {
        STRUCTURE_JSON_NAME: render_json(structure),
        STRUCTURE_MARKDOWN_NAME: render_markdown(structure, picture_name=STRUCTURE_PICTURE_NAME),
        STRUCTURE_PICTURE_NAME: f"{draw(structure)}\n",
    }
    for name, content in files.items():
        publish_bytes(folder / name, content.encode())
    return structure
