"""Write-ups 002 and 003: convolutional networks on children's chest films."""
