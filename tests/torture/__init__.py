"""Torture: syncs that are killed, starved, lied to and raced, and a judge who knows the truth.

`python -m tests.torture` runs all of it for minutes and prints one table; the tests here run a few rounds of each.
"""
