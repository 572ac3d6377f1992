"""Anthropic's Messages as callers write them: https://platform.claude.com/docs/en/api/messages"""
