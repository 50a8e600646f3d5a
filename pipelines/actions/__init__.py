"""Actions: calls that change something in Rivo. Planned as rows, recorded before they are sent, verified afterwards."""
