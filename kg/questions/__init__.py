"""Making questions: drafts, wordings, splits, sets on disk."""
