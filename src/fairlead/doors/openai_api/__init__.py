"""OpenAI's endpoints beside chat, and those that others have in its style."""
