"""CPU support for verl: a platform plugin that steps aside where an accelerator is present."""
