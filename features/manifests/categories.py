"""The Chinese and English names of the 31 categories of the Xinpianchang data set.

Source: the dictionary ``video_type_dict`` in the README of "Multimodal Short Video Data Set and Baseline
Classification Model" (github.com/yuanxiaosc), where each key is the name of a folder and of ``video_label``.
"""

from __future__ import annotations

import functools
import unicodedata

LANGUAGES = ("en", "zh")

ENGLISH_TO_CHINESE = {
    "360VR": "VR",
    "4k": "4K",
    "Abstract": "抽象",
    "Aerial": "航拍",
    "Alpha Channel": "透明通道",
    "Animals": "动物",
    "Archival": "档案",
    "Backgrounds": "背景",
    "Beach": "海滩",
    "Business": "商业",
    "Celebration": "庆典",
    "City": "城市",
    "Clouds": "云彩",
    "Corporate": "企业",
    "Explosion": "爆炸",
    "Film": "电影镜头",
    "Green Screen": "绿幕",
    "Intro": "开场",
    "Military": "军事",
    "Nature": "自然",
    "News": "新闻",
    "R3d": "R3d",
    "Romantic": "浪漫",
    "Sea": "大海",
    "Sport": "运动",
    "Technology": "科技",
    "Timelapse": "延时",
    "Underwater": "水下摄影",
    "Wedding": "婚礼",
    "space": "太空",
    "stars": "星空",
}


@functools.lru_cache(4096)
def category_name(name: str, language: str) -> str:
    """Return the name of a category in a language; a name that is not one of the 31 stays as it is.

    Known names are recognised in either language, whatever their case, width and spaces: ``green  screen``,
    ``GREENSCREEN`` and ``绿幕`` are one.

    Args:
        name: As the manifest writes it.
        language: ``en`` or ``zh``.
    """
    english = _ENGLISH.get(_key(name))
    if english is None:
        return name
    return english if language == "en" else ENGLISH_TO_CHINESE[english]


def other_name(name: str) -> str | None:
    """Return the name of a category in the other language.

    ``None`` where the name is not one of the 31, or both languages write it alike (``4k``, ``R3d``).
    """
    english = _ENGLISH.get(_key(name))
    if english is None:
        return None
    chinese = ENGLISH_TO_CHINESE[english]
    if _key(english) == _key(chinese):
        return None
    return chinese if _key(name) == _key(english) else english


def _key(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


_ENGLISH = {_key(name): english for english, chinese in ENGLISH_TO_CHINESE.items() for name in (english, chinese)}
