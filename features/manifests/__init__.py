"""What the user says of the clips: manifests in many forms -> records, labels, splits, and what was left out."""
