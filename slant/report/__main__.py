"""The command: ``python -m slant.report scores/ --by outlet --by month --output report.html``."""

from slant.report.command import main

if __name__ == "__main__":
    main()
