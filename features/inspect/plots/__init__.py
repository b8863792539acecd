"""Pictures of features and clips: plots by matplotlib, contact sheets by Pillow."""
