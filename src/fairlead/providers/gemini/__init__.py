"""Gemini's generateContent: https://ai.google.dev/api/generate-content, on Google's API and, by base URL, on Vertex."""
