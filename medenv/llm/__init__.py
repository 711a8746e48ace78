"""Language models behind OpenAI-compatible endpoints: one client, one batcher."""
