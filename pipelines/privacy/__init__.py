"""Personal data: which columns hold it, what RIVO_PII makes of it, and erasing a person."""
