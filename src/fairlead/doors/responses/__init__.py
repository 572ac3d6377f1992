"""OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses and https://www.openresponses.org"""
