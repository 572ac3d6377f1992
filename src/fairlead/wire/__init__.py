"""The public shapes of requests and answers, one file per dialect."""
