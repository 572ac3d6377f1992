"""Gemini's generateContent as callers write it: https://ai.google.dev/api/generate-content"""
