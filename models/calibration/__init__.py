"""From the probabilities of a network to better ones, and to the decision which tags a clip gets.

Everything is fitted on the validation clips alone: one temperature a head, the lift of rare categories, and a threshold
for each tag.
"""
