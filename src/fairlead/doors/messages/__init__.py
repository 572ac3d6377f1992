"""Anthropic's Messages, as Claude Code and Anthropic's SDKs speak it."""
