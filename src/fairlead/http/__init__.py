"""HTTP/1.1 on uvloop and httptools (llhttp), both sides. Knows nothing of language models."""
