"""`python -m deepjive`, where the command is not on the path."""

from deepjive.cli.main import main

if __name__ == "__main__":
    main()
