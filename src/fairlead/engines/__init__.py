"""Engines that this service runs itself: llama.cpp's server in a supervised child process."""
