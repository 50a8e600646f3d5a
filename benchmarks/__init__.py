"""Benchmarks, printing ratios from one run."""
