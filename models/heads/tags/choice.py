"""The tag head that a configuration names."""

from functools import partial

from models.config import NetworkConfig
from models.heads.tags import TAG_HEADS
from models.heads.tags.base import TagHeadMaker


def chosen_tag_head(config: NetworkConfig) -> TagHeadMaker:
    """Makes tag heads as `config.tag_head` names them, with the sizes of `config`."""
    return partial(TAG_HEADS[config.tag_head].from_config, config=config)
