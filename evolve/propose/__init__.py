"""Where children come from: operators, the proposers that carry them out, and the vetting of what they return."""
