"""The rendered site: chapters executed, pages laid out, rendered by Jupyter Book, working with no network."""
