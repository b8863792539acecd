"""The network: encoders, fusion, embedding, heads."""
