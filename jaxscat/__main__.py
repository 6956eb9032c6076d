"""`python -m jaxscat` is the command `jaxscat`."""

from jaxscat.cli import main

if __name__ == "__main__":
    main()
