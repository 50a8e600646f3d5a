"""Personal data: the columns that hold it, redaction by RIVO_PII, and erasure of a person."""
