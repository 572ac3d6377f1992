"""OpenAI's Responses API, for everyone who speaks it: https://platform.openai.com/docs/api-reference/responses"""
