"""Networks. They know nothing of data sets and nothing of evaluation."""
