"""The structure of a network: a table of its modules, a picture, and the files beside a checkpoint.

``describe.describe`` inspects a network; ``structure.Structure`` is the result, and showing it needs no torch.
"""
