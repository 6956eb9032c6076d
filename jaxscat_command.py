"""The command `jaxscat`, which takes signals from its first moment on.

It is no part of the package, whose import loads JAX: that takes a second or more, in which Ctrl-C
could be lost, since Python swallows an exception that a handler raises within a callback of JAX.
"""

import os
import signal
import sys

_INTERRUPTED, _BAD_INPUT = 130, 2


def main() -> None:
    """Run the command line (see `jaxscat.cli.main.main`)."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    # Threads of healpy that wait in a loop would take the cores from others that they wait for:
    # beside another busy process, the validation of a small map takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        from jaxscat.cli.main import main as run
    except (ValueError, RuntimeError) as error:
        variables = _blame(str(error))
        if not variables:
            raise
        said = " ".join(str(error).split())
        print(f"error: {', '.join(variables)}: {said}", file=sys.stderr)
        raise SystemExit(_BAD_INPUT) from None
    run()


def _end(*_: object) -> None:
    """End at once: nothing has begun."""
    os.write(2, b"interrupted; nothing is written\n")
    os._exit(_INTERRUPTED)


def _blame(message: str) -> list[str]:
    """List the variables of the environment that JAX may have refused: those it names, or all."""
    found = [name for name in os.environ if name.startswith("JAX_")]
    named = [name for name in found if name.lower() in message.lower()]
    return [f"{name} = {os.environ[name]!r}" for name in named or found]


if __name__ == "__main__":
    main()
