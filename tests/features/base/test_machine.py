"""Where networks compute is what the setting says, as far as there is such a device."""

import pytest
import torch

from features.base.errors import SettingError
from features.base.machine import resolve_device


@pytest.mark.parametrize(
    ("name", "has_gpu", "expected"),
    [
        ("auto", True, "cuda:0"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_auto_is_the_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, name: str, has_gpu: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(has_gpu))
    assert resolve_device(name) == torch.device(expected)


def test_a_gpu_that_is_not_there_is_no_reason_to_compute_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="device is 'cuda', but torch sees 0 GPUs: set device to auto or cpu"):
        resolve_device("cuda")


def test_a_gpu_beyond_the_last_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(SettingError, match="device is 'cuda:1', but torch sees 1 GPUs: set device to auto or cpu"):
        resolve_device("cuda:1")
