"""OpenAI's chat completions, and what the rest of Fairlead's own API speaks."""
