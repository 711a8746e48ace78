"""Hugging Face models: engines that write text, chat templates, the tiny policy."""
