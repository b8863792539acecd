"""An ablation as JSON: every figure, and the runs that it can be summed up from again."""

import json
from dataclasses import asdict

from features.base.errors import DataError
from models.ablation.runs import AblationRun, FailedRun
from models.ablation.sentences import sentences
from models.ablation.table import AblationTable, summarise


def render_json(table: AblationTable) -> str:
    """The table, its sentences and its runs as one JSON object."""
    document = {**asdict(table), "num_comparisons": table.num_comparisons, "sentences": sentences(table)}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def parse_json(text: str) -> AblationTable:
    """The table that `render_json` wrote, summarised anew from its runs.

    Raises:
        DataError: The text is no such document.
    """
    try:
        document = json.loads(text)
        runs = [AblationRun(**run) for run in document["runs"]]
        failures = [FailedRun(**run) for run in document["failures"]]
        reference, headlines = str(document["reference"]), [str(name) for name in document["headlines"]]
        split = str(document["split"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the text is no ablation ({error}): give one that render_json wrote") from error
    return summarise(runs, reference, headlines=headlines, split=split, failures=failures)
