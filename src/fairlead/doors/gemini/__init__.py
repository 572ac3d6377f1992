"""Gemini's API, as Gemini CLI and Google's Gen AI SDKs speak it."""
