"""From labelled clips to a checkpoint: epochs, steps, validation, and what a killed run leaves."""
