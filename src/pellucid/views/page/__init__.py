"""The page of a training, and its carriers: a file, a server, a cell of a notebook. They carry answers, and compute none."""
