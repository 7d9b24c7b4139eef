"""A notebook with one cell."""

import marimo

app = marimo.App()


@app.cell
def __() -> tuple[int]:
    x = 1
    return (x,)


if __name__ == "__main__":
    app.run()
