"""What is painted: text as data, panes that repaint only what changed, and the painters."""
