"""`python -m emoscan`: the same as the command `emoscan`."""

from emoscan.cli.app import main

if __name__ == "__main__":
    main()
