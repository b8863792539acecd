"""Where networks compute."""

import torch

from models.errors import SettingError


def pick_device(name: str) -> torch.device:
    """The device of the setting `cpu`, `cuda`, or `auto` for CUDA where there is a GPU.

    Raises:
        SettingError: It is `cuda`, and there is no GPU that torch can use.
    """
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise SettingError("device is 'cuda', but torch finds no GPU: give auto or cpu, or mend the driver")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")
