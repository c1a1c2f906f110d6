"""Labelling and prediction by many machines, as a Ray Data job; needs the extra ``ray``.

`job` is what is called, `worker` is what each machine runs, `parts` are the files between them.
"""
