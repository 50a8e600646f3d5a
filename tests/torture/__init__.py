"""Torture: syncs under kills, faults, full disks, wrong clocks and races, judged against the store itself.

`python -m tests.torture` runs all of it for minutes and prints one table; the tests here run a few rounds of each.
"""
