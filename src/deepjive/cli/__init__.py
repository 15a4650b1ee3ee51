"""The `deepjive` command; everything heavy is imported when a command needs it."""
