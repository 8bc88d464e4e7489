"""The page of a training, and what carries its answers: a file, a server, a cell of a notebook."""
