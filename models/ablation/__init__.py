"""Which variants of a network help: means over seeds, differences paired by seed, and what they show.

:mod:`~models.ablation.runs` is the input, :func:`~models.ablation.table.summarise` the result, which
:mod:`~models.ablation.text` and :mod:`~models.ablation.documents` render.
"""
