"""What the training stages share: jobs, ensembles, several processes, ablation runs."""
