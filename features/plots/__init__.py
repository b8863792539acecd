"""Pictures of features and clips, drawn by matplotlib and Pillow."""
