"""A chapter of fifty lines, as text, and the command that copies it: `make chapter NAME=...`."""
