"""OpenAI's chat completions, and everyone who speaks them: https://platform.openai.com/docs/api-reference/chat"""
