"""The pipeline as Luigi sees it: ``luigi --module pipeline RunAll``.

``pipeline`` says which stages make a run and how they are started; ``tasks`` holds one stage a file;
``features`` turns media into embedding shards; ``models`` learns from them and measures. Importing this
package registers every task, sets Luigi's run settings where the configuration leaves them open, and lets
SIGTERM and Ctrl-C end a run in order.
"""

from __future__ import annotations

from pipeline.startup import prepare
from pipeline.workflows import RunAll
from tasks.ablation import Ablation
from tasks.corpus import Manifest, SampleCorpus
from tasks.crossvalidate import CrossValidate
from tasks.decode import Decode
from tasks.download import Download
from tasks.evaluate import Evaluate
from tasks.extract import Extract
from tasks.predict import Predict
from tasks.recognize import Recognize
from tasks.train import Train

__all__ = [
    "Ablation",
    "CrossValidate",
    "Decode",
    "Download",
    "Evaluate",
    "Extract",
    "Manifest",
    "Predict",
    "Recognize",
    "RunAll",
    "SampleCorpus",
    "Train",
]

prepare()
