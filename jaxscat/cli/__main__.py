"""`python -m jaxscat.cli` is the command `jaxscat`."""

from jaxscat.cli.main import main

if __name__ == "__main__":
    main()
