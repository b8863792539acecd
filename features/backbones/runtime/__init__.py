"""How a frozen network is run fast: OpenVINO or torch, checked against plain torch."""
