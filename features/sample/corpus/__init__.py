"""What the sample corpus holds: its plan, labels and titles, and how it is rendered."""
