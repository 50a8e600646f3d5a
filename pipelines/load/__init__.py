"""Pages of Rivo's lists -> `rivo_raw`: read ahead, compare, merge with dlt, guard, keep histories."""
