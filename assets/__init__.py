"""The Dagster code location: assets, checks, jobs, the schedule and sensors. The work itself is done by `runs`."""
