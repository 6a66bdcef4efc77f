"""One module a command or family; each adds its parser and imports what it needs only when it runs."""
