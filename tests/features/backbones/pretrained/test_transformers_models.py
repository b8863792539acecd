from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.backbones.extractor.extract_config import ExtractConfig
from features.backbones.pretrained import transformers_models as pretrained
from features.backbones.pretrained.model_files import sha256_of_model
from features.backbones.pretrained.transformers_models import Pretrained
from features.base.errors import SourceError
from tests.features.backbones.hub import Hub, commit_of, serve_hub
from tests.features.backbones.tiny_models import save_vit

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "owner/tiny"
# The hub's package reads its environment when it is imported: each call is a process of its own.
CODE = """
import sys
from features.base.errors import SourceError
from features.backbones.pretrained.transformers_models import hub_model
for asked in sys.argv[1:]:
    name, _, revision = asked.partition("@")
    try:
        print(hub_model(name, revision))
    except SourceError as error:
        print("refused:", error)
"""


@dataclass
class Client:
    """A machine with a cache of its own."""

    hub: Hub
    home: Path

    def fetch(self, *asked: str, **environment: str) -> list[str]:
        """Return what each id@revision gives; ``hub.asked`` then holds the requests of this call alone."""
        self.hub.asked.clear()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        places = {"HF_ENDPOINT": self.hub.address, "HF_HOME": str(self.home), "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CODE, *asked],
            env={**kept, **places, **environment},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder on the hub, with files that nobody needs."""
    folder = tmp_path_factory.mktemp("model")
    save_vit(folder)
    (folder / "README.md").write_text("about")
    (folder / "modeling_tiny.py").write_text("raise AssertionError('it ran')")
    (folder / "flax_model.msgpack").write_bytes(b"other weights")
    return folder


@pytest.fixture
def client(model: Path, tmp_path: Path) -> Iterator[Client]:
    with serve_hub({NAME: {"main": model}}) as hub:
        yield Client(hub, tmp_path / "home")


def test_a_model_is_fetched_once_and_without_what_is_no_part_of_it(client: Client, model: Path) -> None:
    first, again = client.fetch(f"{NAME}@main", f"{NAME}@main")
    assert first == again
    assert sorted(client.hub.fetched()) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert client.fetch(f"{NAME}@main") == [first]
    assert client.hub.fetched() == []
    assert sha256_of_model(Path(first)) == sha256_of_model(model)
    assert Pretrained(first).digest() == sha256_of_model(model)


def test_a_fetched_model_needs_no_hub(client: Client) -> None:
    (folder,) = client.fetch(f"{NAME}@main")
    assert client.fetch(f"{NAME}@main", HF_HUB_OFFLINE="1") == [folder]
    assert client.hub.asked == []
    assert client.fetch(f"{NAME}@main", HF_ENDPOINT="http://127.0.0.1:9") == [folder]


def test_a_model_that_is_not_in_the_cache_is_named(client: Client) -> None:
    (refused,) = client.fetch(f"{NAME}@main", HF_HUB_OFFLINE="1")
    assert refused == (
        "refused: model 'owner/tiny' at 'main' is not complete in the local cache and HF_HUB_OFFLINE is set: "
        "unset it once, or give the folder of a complete model"
    )
    (refused,) = client.fetch(f"{NAME}@main", HF_ENDPOINT="http://127.0.0.1:9")
    assert refused.startswith("refused: model 'owner/tiny' at 'main' cannot be fetched from the hub (")
    assert refused.endswith("): run again when it can be reached, or give the folder of a complete model")


def test_what_the_hub_does_not_have_is_named(client: Client) -> None:
    assert client.fetch("owner/none@main", f"{NAME}@v9") == [
        "refused: the hub has no model 'owner/none' that may be read: check the id, or set HF_TOKEN for a private one",
        "refused: model 'owner/tiny' has no revision 'v9' on the hub: name one of its branches, tags or commits",
    ]


def test_a_branch_that_moves_on_does_not_change_what_is_used(client: Client, tmp_path: Path) -> None:
    (before,) = client.fetch(f"{NAME}@main")
    moved = tmp_path / "moved"
    save_vit(moved)
    (moved / "config.json").write_text(json.dumps({"model_type": "vit", "changed": True}))
    client.hub.models[NAME] |= {"old": client.hub.models[NAME]["main"], "main": moved}
    assert client.fetch(f"{NAME}@main") == [before]
    (after,) = client.fetch(f"{NAME}@{commit_of(moved)}")
    assert sha256_of_model(Path(after)) == sha256_of_model(moved)


def test_a_file_that_got_lost_is_fetched_alone(client: Client) -> None:
    (folder,) = client.fetch(f"{NAME}@main")
    (Path(folder) / "model.safetensors").unlink()
    (refused,) = client.fetch(f"{NAME}@main", HF_HUB_OFFLINE="1")
    assert "is not complete in the local cache" in refused
    assert client.fetch(f"{NAME}@main") == [folder]
    assert "config.json" not in client.hub.fetched()
    assert (Path(folder) / "model.safetensors").is_file()


def test_pickled_weights_are_fetched_where_there_are_no_others(client: Client, tmp_path: Path) -> None:
    for name, files in {"old": ("pytorch_model.bin",), "both": ("pytorch_model.bin", "model.safetensors")}.items():
        folder = tmp_path / name
        folder.mkdir()
        for file_name in ("config.json", *files):
            (folder / file_name).write_text(f"content of {file_name}")
        client.hub.models[f"owner/{name}"] = {"main": folder}
    client.fetch("owner/old@main")
    assert sorted(client.hub.fetched()) == ["config.json", "pytorch_model.bin"]
    client.fetch("owner/both@main")
    assert sorted(client.hub.fetched()) == ["config.json", "model.safetensors"]


def test_a_repository_without_a_configuration_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "model.safetensors").write_bytes(b"weights")
    client.hub.models["owner/bare"] = {"main": tmp_path / "bare"}
    (refused,) = client.fetch("owner/bare@main")
    assert refused.startswith("refused: model 'owner/bare' at 'main' has no config.json on the hub")


@pytest.mark.parametrize("kind", ["unheard_of", "vit"])
def test_code_of_a_repository_never_runs(
    kind: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ran = tmp_path / "coded", tmp_path / "ran"
    save_vit(folder)
    about = json.loads((folder / "config.json").read_text())
    classes = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
    (folder / "config.json").write_text(json.dumps({**about, "model_type": kind, "auto_map": classes}))
    (folder / "code.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    client.hub.models["owner/coded"] = {"main": folder}
    (fetched,) = client.fetch("owner/coded@main")
    assert "code.py" not in client.hub.fetched()
    # Also where the code lies beside the weights, as in a folder that was copied by hand.
    for place in (fetched, str(folder)):
        monkeypatch.setattr(pretrained, "hub_model", lambda _name, _revision, place=place: Path(place))
        coded = Pretrained("owner/coded")
        if kind == "vit":
            # transformers knows this kind itself.
            coded.network()
        else:
            with pytest.raises(SourceError, match=r"transformers cannot load the model of 'owner/coded' \("):
                coded.network()
    assert not ran.exists()


def test_the_identity_is_the_same_before_and_after_the_first_fetch(client: Client) -> None:
    config = ExtractConfig("frames", f"transformers:{NAME}")
    before = config.weights_identity()
    client.fetch(f"{NAME}@main")
    assert config.weights_identity() == before == "transformers:owner/tiny@main"
