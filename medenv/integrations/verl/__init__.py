"""Training with verl: agent loop, rows, sampler, launch, sweep."""
