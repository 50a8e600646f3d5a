"""Benchmarks that compare two measurements of the same run and print their ratio."""
