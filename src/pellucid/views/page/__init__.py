"""The page that shows a training: it asks questions, and what carries it brings the answers.

desk    questions that wait, and the one thread at a time that answers them
live    a training that is watched while it runs: it answers at the edges of its chunks, and can be paused
server  the page over HTTP, on this machine only
"""
