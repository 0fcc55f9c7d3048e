"""Write-up 000: a small network on a table of spine measurements."""
