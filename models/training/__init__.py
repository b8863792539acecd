"""From labelled clips to a checkpoint: epochs, updates, validation, and the state of an interrupted run."""
