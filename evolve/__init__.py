"""The engine: journal, population, acceptance, proposers, git lineage, and the loops that join them."""
