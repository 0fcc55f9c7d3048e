"""The smallest chapter, as text, and the command that copies it: `make chapter NAME=...`."""
