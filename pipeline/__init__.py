"""The pipeline as Luigi sees it: ``luigi --module pipeline RunAll``.

``pipeline`` defines which stages make a run and the commands around it; ``tasks`` has one stage a file;
``features`` turns media into embedding shards; ``models`` learns from them and measures. Importing this
package registers every task, sets Luigi's run settings where the configuration leaves them open, and lets
SIGTERM and Ctrl-C end a run in order.
"""

from __future__ import annotations

from pipeline.startup import prepare
from pipeline.workflow import RunAll
from tasks.stages.ablation import Ablation
from tasks.stages.crossvalidate import CrossValidate
from tasks.stages.decode import Decode
from tasks.stages.download import Download
from tasks.stages.evaluate import Evaluate
from tasks.stages.extract import Extract
from tasks.stages.manifest import Manifest, SampleCorpus
from tasks.stages.predict import Predict
from tasks.stages.recognize import Recognize
from tasks.stages.train import Train

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
