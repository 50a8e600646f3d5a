"""Tests of the SQL models and of the SQL runner."""
