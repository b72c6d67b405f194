"""Runs, from a kernel to a verdict: with pytest, with the C program, and of many kernels."""
