"""What a network is made of: a table of its modules, a picture, and the files beside a checkpoint.

`describe.describe` looks at a network; `modules.Structure` is what it found, and needs no torch to be shown.
"""
