"""Tests of targets that need servers or packages of their own: make test-targets."""
