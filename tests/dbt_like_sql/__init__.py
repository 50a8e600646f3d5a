"""Tests of the SQL runner, on small projects made on the spot."""
