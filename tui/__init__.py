"""What a person meets in the terminal: the command line and the full-screen app."""
