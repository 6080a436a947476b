"""Reads articles from the command line: python predict.py FILE..."""

from slant.cli import main

if __name__ == "__main__":
    main()
