"""What takes turns in tests of the benchmarks: in a room of its own, so that its processes import nothing else."""

from turns import NotHereError


def counting(turns, start, path):
    value = start
    while True:
        turns.wait()
        with path.open("a") as file:
            file.write(f"{start}\n")
        turns.tell(value=value)
        value += 1


def absent(turns):
    raise NotHereError("not installed: something")


def failing(turns):
    turns.wait()
    raise ZeroDivisionError("by nothing")
