"""One run without Dagster: read lists, build, check, publish; where it runs (shop, demo), and what its pages show."""
