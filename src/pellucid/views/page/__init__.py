"""The page of a training, and what carries its answers: a file, a server, a cell of a notebook.

markup    the page as HTML
file      the page as one file, with the answers to chosen questions
notebook  the page in a cell, in a frame
withheld  answers without the rows that shall stay at home
server    the page over HTTP, on this machine only
desk      questions that wait, and the one thread at a time that answers them
live      a training that is watched while it runs, and can be paused
"""
