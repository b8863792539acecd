"""What a section is made of: its keys, their defaults, which of them are identity, and which modality they concern."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from features.backbones.extractor.extract_config import ONLY_FOR, ExtractConfig
from features.base.errors import SettingError
from features.base.modalities import MODALITIES
from features.base.settings import identity_values, is_from_preset, is_identity, modalities_of, setting
from features.decoding.config import DecodeConfig
from models.config.network import NetworkConfig
from models.config.presets import PRESETS
from models.config.training import TrainConfig
from tasks.config.run import settings
from tasks.config.schema import SECTIONS, Section, Settings, extract_section
from tasks.config.task_settings import PresetConfig
from tasks.stages.decode import Decode, decode_settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Configure = Callable[[Mapping[str, Mapping[str, str]]], None]

# What decided the input of a modality when the lists were kept by hand, and the settings since.
SETTINGS_BY_MODALITY = {
    "frames": {
        "codec", "max_pixels", "max_seconds", "sampling", "untagged_matrix", "frames_per_second", "max_frames",
        "num_frames", "short_side_pixels",
    },
    "motion": {
        "codec", "max_pixels", "max_seconds", "sampling", "untagged_matrix", "max_motion_frames",
        "motion_frames_per_second", "motion_short_side_pixels",
    },
    "audio": {"max_seconds"},
    "cover": {"max_pixels", "short_side_pixels"},
    "text": set(),
}  # fmt: skip
# Values that differ from the defaults, and from each other where they can.
OTHER_DECODING = DecodeConfig(
    frames_per_second=3.0,
    num_frames=8,
    short_side_pixels=224,
    max_seconds=61.0,
    max_frames=62,
    motion_frames_per_second=15.0,
    motion_short_side_pixels=112,
    max_motion_frames=63,
    codec="lossless",
    sampling="fast",
    untagged_matrix="bt601",
    max_pixels=64,
)


@dataclass(frozen=True)
class _Sample:
    kept: int = 1
    free: int = setting(2, identity=False)
    seed: int = setting(3, from_preset=False)
    plain: str = field(default="x")
    pictures_only: int = setting(4, modalities=("frames",))


@dataclass(frozen=True)
class _Beside:
    chosen: str = "best"


def _decoded(config: DecodeConfig) -> dict[str, dict[str, str]]:
    return {"decode": {name: str(value) for name, value in identity_values(config).items()}}


def test_a_field_says_what_it_is() -> None:
    by_name = {item.name: item for item in fields(_Sample)}

    assert [name for name, item in by_name.items() if is_identity(item)] == ["kept", "seed", "plain", "pictures_only"]
    # What changes no result is kept under a named preset, too.
    assert [name for name, item in by_name.items() if is_from_preset(item)] == ["kept", "plain", "pictures_only"]
    assert modalities_of(by_name["pictures_only"]) == ("frames",)
    assert modalities_of(by_name["kept"]) is None
    assert identity_values(_Sample(free=9, seed=8)) == {"kept": 1, "seed": 8, "plain": "x", "pictures_only": 4}
    assert _Sample() == _Sample(1, 2, 3, "x", 4)


def test_a_section_lists_its_keys_with_their_defaults() -> None:
    section = Section(_Sample, fixed={"plain": "y"}, defaults={"kept": 7}, beside=_Beside)

    assert section.names() == {"chosen": "best", "kept": 7, "free": 2, "seed": 3, "pictures_only": 4}
    assert section.non_identity_settings() == {"free"}
    assert section.settings_beside_presets() == {"free", "seed"}
    assert section.hints() == {
        "chosen": str, "kept": int, "free": int, "seed": int, "plain": str, "pictures_only": int
    }  # fmt: skip
    assert section.preset_values("trn_light") == {}


@pytest.mark.parametrize(("name", "part"), [("network", "network"), ("train", "train")])
def test_a_section_with_presets_takes_its_defaults_from_the_preset_default(name: str, part: str) -> None:
    section = SECTIONS[name]
    default = asdict(getattr(PRESETS[PresetConfig.preset], part))

    assert {key: value for key, value in section.names().items() if key != "preset"} == default
    for preset in PRESETS:
        assert section.preset_values(preset) == asdict(getattr(PRESETS[preset], part))
        # A copy: changing it changes no preset.
        section.preset_values(preset).clear()
        assert section.preset_values(preset)


def test_the_seed_and_what_changes_no_result_stay_under_a_named_preset() -> None:
    beside = SECTIONS["train"].settings_beside_presets()

    assert {"seed", "num_threads"} <= beside
    assert SECTIONS["train"].non_identity_settings() <= beside
    assert not {"learning_rate", "epochs", "batch_size"} & beside
    assert SECTIONS["network"].settings_beside_presets() == frozenset()


def test_the_sections_are_those_of_the_settings_in_the_order_of_the_docs(configure: Configure) -> None:
    names = [*settings().sections()]

    assert names == list(SECTIONS)
    # Before and after the extractors as the dataclass has them.
    own = [item.name for item in fields(Settings)]
    position = own.index("extract")
    assert names == [*own[:position], *map(extract_section, MODALITIES), *own[position + 1 :]]
    for name, config in settings().sections().items():
        assert isinstance(config, SECTIONS[name].kind)


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_extractor_has_the_settings_of_its_modality_and_its_backbone(configure: Configure, modality: str) -> None:
    section = SECTIONS[extract_section(modality)]
    config = settings().extract[modality]

    assert config == ExtractConfig(modality, MODALITIES[modality].backbone)
    others = {name for name, modalities in ONLY_FOR.items() if modality not in modalities}
    assert set(section.names()) == {item.name for item in fields(ExtractConfig)} - others - {"modality"}
    assert set(section.fixed) == others | {"modality"}


# Decode: which of its settings concern whom


def test_every_identity_setting_of_decode_belongs_to_modalities_that_exist() -> None:
    for item in fields(DecodeConfig):
        named = modalities_of(item)
        if is_identity(item):
            assert named, f"[decode] {item.name} changes the output: say of which modalities"
            assert set(named) <= {name for name, entry in MODALITIES.items() if entry.is_decoded}
            assert len(set(named)) == len(named)
        else:
            assert named is None, f"[decode] {item.name} changes no output, and so that of no modality"


@pytest.mark.parametrize("config", [DecodeConfig(motion_frames_per_second=8.0), OTHER_DECODING])
@pytest.mark.parametrize("modality", SETTINGS_BY_MODALITY)
def test_the_input_of_a_modality_is_decided_by_the_settings_of_always(
    configure: Configure, modality: str, config: DecodeConfig
) -> None:
    configure(_decoded(config))

    assert settings().decode == config
    assert decode_settings_of(modality) == {name: getattr(config, name) for name in SETTINGS_BY_MODALITY[modality]}


def test_every_modality_is_among_the_lists() -> None:
    assert set(SETTINGS_BY_MODALITY) == set(MODALITIES)
    listed = set().union(*SETTINGS_BY_MODALITY.values())
    assert listed == set(identity_values(DecodeConfig()))
    for item in fields(DecodeConfig):
        if is_identity(item):
            assert getattr(OTHER_DECODING, item.name) != item.default


@pytest.mark.parametrize("modality", [name for name, entry in MODALITIES.items() if entry.rate_setting])
def test_settings_of_a_modality_are_no_identity_while_its_rate_is_0(configure: Configure, modality: str) -> None:
    rate = MODALITIES[modality].rate_setting
    only_there = {rate, f"{modality}_short_side_pixels", f"max_{modality}_frames"}

    disabling: dict[str, Any] = {rate: 0.0}
    configure(_decoded(replace(OTHER_DECODING, **disabling)))
    disabled = Decode().sampling()
    configure(_decoded(OTHER_DECODING))
    enabled = Decode().sampling()

    assert set(enabled) - set(disabled) == only_there
    assert enabled == identity_values(OTHER_DECODING)
    assert disabled == {name: value for name, value in enabled.items() if name not in only_there}
    # Codec and sampling are of that modality too, but not of it alone.
    assert {"codec", "sampling", "max_seconds", "max_pixels"} <= set(disabled)


@pytest.mark.parametrize("name", sorted(SETTINGS_BY_MODALITY["frames"] | SETTINGS_BY_MODALITY["cover"]))
def test_each_identity_setting_of_decode_changes_its_fingerprint(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    before = Decode().fingerprint

    configure({"decode": {name: str(getattr(OTHER_DECODING, name))}})

    assert Decode().fingerprint != before


def test_settings_without_identity_change_no_fingerprint(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decode, "ffmpeg_version", lambda _: "7.0.2")
    before = Decode().fingerprint
    other = {
        "timeout_seconds": "1", "workers": "9", "memory_megabytes": "9", "max_process_megabytes": "999",
        "max_failed_fraction": "1", "store": "false", "ffmpeg": "/elsewhere/ffmpeg",
    }  # fmt: skip
    assert set(other) == SECTIONS["decode"].non_identity_settings()

    configure({"decode": other})

    assert Decode().fingerprint == before


# Contradictions between sections


def test_settings_are_made_of_their_sections_and_give_them_back(configure: Configure) -> None:
    sections = settings().sections()

    assert Settings.of(sections) == settings()
    assert Settings.of(sections).sections() == sections


def test_a_network_of_unknown_or_left_out_modalities_is_refused(configure: Configure) -> None:
    own = settings()

    own.check_modalities(NetworkConfig(modalities=""))
    own.check_modalities(NetworkConfig(modalities="text, frames"))
    with pytest.raises(SettingError, match=f"unknown modality 'smell', list some of {', '.join(MODALITIES)}"):
        own.check_modalities(NetworkConfig(modalities="text, smell"))
    with pytest.raises(SettingError, match=r"leaves out motion: add it there, or name others of frames, audio, cover"):
        own.check_modalities(NetworkConfig(modalities="text, motion"))


def test_settings_that_contradict_each_other_are_refused_when_they_are_made(configure: Configure) -> None:
    sections = settings().sections()
    download = replace(sections["download"], keep_media=False)

    Settings.of({**sections, "download": download})
    with pytest.raises(SettingError, match=r"store = false needs \[download\] keep_media = true"):
        Settings.of({**sections, "download": download, "decode": replace(sections["decode"], store=False)})
    with pytest.raises(SettingError, match="unknown modality 'smell'"):
        Settings.of({**sections, "network": NetworkConfig(modalities="smell")})


def test_training_settings_of_no_identity_are_those_that_change_no_result() -> None:
    assert SECTIONS["train"].non_identity_settings() == {
        "cache_megabytes", "device", "num_processes", "tensorboard"
    }  # fmt: skip
    assert set(SECTIONS["train"].names()) == {item.name for item in fields(TrainConfig)}
