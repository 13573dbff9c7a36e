"""Whatever proposes: an LLM, a tuner, another program."""
